"""Kinetics-400, 600, 700 (arXiv 1705.06950, 1808.01340, 1907.06987): ten seconds of YouTube each.

The official csv files have the columns label, youtube_id, time_start, time_end and split; a clip is
a file ``{youtube_id}_{start:06d}_{end:06d}.mp4``, with or without a folder of its class and split
or the zeros, or called by the id alone. CVDF hands them out in folders of splits without classes,
with ``replacement/replacement_for_corrupted_k400`` beside them, and the csv of Kinetics-600 as
train.txt. Files are cut already, so the times are no spans here. Lists of TSM, mmaction2 and
UniFormer are read with the file of classes their numbers count. Classes are in alphabetical order,
as in the tools of all of them but UniFormer, whose lists are renumbered.

Many videos have gone from YouTube since: no two copies have the same clips, so say how many were
found whenever you say an accuracy.

Mini-Kinetics is the 200 classes on which MIT-IBM's action-recognition-pytorch compares models. The
lists of 100 and 200 classes that GC calls kineticsmini were not published.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import PurePosixPath

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index
from marey.data.datasets.list_clips import list_clips, plain_lists
from marey.data.datasets.subset import subset_form
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import ClassNames
from marey.data.lists.listing import video_name, without_suffix
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.times import seconds
from marey.errors import ManifestError, counted

NUM_MINI = 200
SPLITS = ("train", "val", "test")
_ID = re.compile(r"[\w-]{11}", re.ASCII)
_NAME = re.compile(r"([\w-]{11})_(\d{6})_\d{6}", re.ASCII)
_COLUMNS = ("youtube_id", "time_start", "time_end")
_TOPS = ("{split}/", "videos_{split}/", "rawframes_{split}/", "videos/", "images/", "frames/", "")
_REPLACEMENTS = (
    *(
        f"{top}replacement_for_corrupted_k400/{{stem}}"
        for top in ("replacement/", "", "train/", "{split}/")
    ),
    "replacement/{stem}",
)
"""Videos that take the place of those that the archives hold damaged: looked for first."""
_CLASSES = ("{class}/", "{class_}/", "")
_CLIPS = (
    *(f"{folder}{name}" for name in ("{stem}", "{id}_{start}_{end}") for folder in _CLASSES),
    "{class_}/{id}_{start}",
    "{id}",
)
"""Where copies have their clips: folders of splits, of classes, then one of the names."""


def read_official(files: Annotations, num_classes: int) -> Index:
    """The clips of the official csv files; those of a test file without labels have none."""
    tables = {split: list(file.table(_COLUMNS)) for split, file in files.lists(SPLITS)}
    if "classes" in files:
        names = sorted(numbered_names(files, "classes", num_classes))
    else:
        cells = (row.get("label", "").strip() for table in tables.values() for _, row in table)
        names = sorted(set(cells) - {""})
        if len(names) != num_classes:
            raise ManifestError(
                f"{files[next(iter(tables))]}: the csv files name"
                f" {counted(len(names), 'class')}, expected {num_classes}",
                "put a file of the class names beside them, one a line: label_map_k400.txt",
            )
    known = ClassNames(names)
    clips: list[AnnotatedClip] = []
    for split, table in tables.items():
        clips += files.faults.fitting(table, partial(_official_clip, known, split))
    return Index({"label": known.names}, clips)


def read_lists(files: Annotations, num_classes: int) -> Index:
    """The clips of lists whose labels count the names of role `classes`, in alphabetical order."""
    names = numbered_names(files, "classes", num_classes)
    official = sorted(names)
    numbers = [official.index(name) for name in names]
    clips = []
    for clip in list_clips(
        files,
        plain_lists(files, SPLITS),
        names,
        class_of_path=lambda path: PurePosixPath(path).parent.name,
        name=without_suffix,
    ):
        label, stem = clip.labels["label"], video_name(clip.name)
        assert isinstance(label, int)
        match = _NAME.fullmatch(stem)
        fields = {"stem": stem, "id": match[1]} if match else {"stem": stem}
        clips.append(clip._replace(labels={"label": numbers[label]}, fields=fields))
    return Index({"label": tuple(official)}, clips, "frames")


def _official_clip(
    names: ClassNames, split: str, line: SourceLine, row: dict[str, str]
) -> AnnotatedClip:
    key = row["youtube_id"].strip()
    if not _ID.fullmatch(key):
        raise Misfit("no id of a video", "ids have 11 letters, digits, - or _", value=key)
    start, end = (_whole_seconds(row[column]) for column in _COLUMNS[1:])
    if start is None or end is None or start >= end:
        value = f"{row['time_start']} to {row['time_end']}"
        raise Misfit("no span of seconds", "from 0, the end after the start", value=value)
    has_label = "label" in row and (split != "test" or row["label"].strip())
    labels = {"label": names.find(row["label"])} if has_label else {}
    name = f"{key}_{start:06d}_{end:06d}"
    fields = {"id": key, "start": str(start), "end": str(end), "stem": name}
    return AnnotatedClip(line, name, split, labels, fields=fields)


def _whole_seconds(text: str) -> int | None:
    """Whole seconds, also of "12.0"; None for what is no such number."""
    time = seconds(text)
    return int(time) if time is not None and time == int(time) < 10**6 else None


def _kinetics(num_classes: int) -> DataSet:
    short, folders = f"k{num_classes}", f"kinetics{num_classes}"
    classes = f"label_map_{short}.txt kinetics_label_map.txt kinetics_{num_classes}_*.txt"
    official = {
        split: f"{split}.csv kinetics_{split}.csv kinetics-{num_classes}_{split}.csv"
        f" {folders}/{split}.csv {short}_{split}.csv {'validate.csv' if split == 'val' else ''}"
        f" {split}.txt"
        for split in SPLITS
    }
    lists = {
        split: f"{split}_videofolder.txt {folders}_{split}_list_videos.txt"
        f" {folders}_{split}_list_rawframes.txt {split}.csv {split}.txt"
        for split in ("train", "val")
    }
    return DataSet(
        name=folders,
        title=f"Kinetics-{num_classes}",
        licence="annotations CC BY 4.0; the videos are those of their YouTube authors",
        source="github.com/cvdfoundation/kinetics-dataset: videos in archives and csv files",
        forms=(
            AnnotationForm(
                title="official csv",
                files={**official, "classes": classes},
                read=partial(read_official, num_classes=num_classes),
                needs=(),
                mark="time_start",
            ),
            AnnotationForm(
                title="lists `path [num_frames] label`",
                files={"classes": classes, **lists},
                read=partial(read_lists, num_classes=num_classes),
            ),
        ),
        layouts=(
            *_REPLACEMENTS,
            "{name}",
            *(f"{top}{clip}" for top, clip in product(_TOPS, _CLIPS)),
        ),
    )


KINETICS = tuple(_kinetics(num_classes) for num_classes in (400, 600, 700))
MINI_KINETICS = replace(
    KINETICS[0],
    name="mini-kinetics",
    title="Mini-Kinetics, 200 classes",
    source="the classes: mini_kinetics400.txt of github.com/IBM/action-recognition-pytorch; all"
    f" else: {KINETICS[0].source}",
    forms=tuple(subset_form(form, "mini_kinetics400.txt", NUM_MINI) for form in KINETICS[0].forms),
)
