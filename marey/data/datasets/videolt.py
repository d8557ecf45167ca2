"""VideoLT (arXiv 2105.02668): 256,192 videos of 1,004 classes, up to 7 of them each, as features.

Lists ``video label[,label]`` for training, validation and test (179,334, 25,619 and 51,239 videos);
count-labels-train.lst names and numbers the classes and counts their training videos, 196,798 in
all, 1,912 of the most frequent and 44 of the rarest. ``*_videofolder.txt`` say the same as
``class/video num_frames label,label,``. Features are one ``.npy`` a video, 2,048 numbers a frame,
or the same by name in an HDF5 file.

VideoLT-LT is the part of it that LMR (arXiv 2304.01143) makes. Its files are said to be json as
Something-Something's, whose ``template`` is a class here, and lists as above; which splits they
have is not published, so they are taken by their names. Where there is a trainval, it is the
validation list and val the test list, as SSv2-LT has it. Its classes are those of VideoLT's file of
counts, or of a labels.json of names and numbers, of which there may be fewer.

**Deviates**: the authors validate on test.lst. Here validate.lst is split `val`, test.lst `test`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import partial

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.list_clips import clip_of_row
from marey.data.datasets.long_tail_files import json_names, long_tail_files
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import ClassNames
from marey.data.lists.listing import ListRow, video_name
from marey.data.lists.plain_lists import plain_rows
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.tables import template_of
from marey.data.lists.text_file import whole
from marey.data.manifest.classes import split_labels
from marey.errors import counted

NUM_CLASSES = 1004
SPLITS = ("train", "val", "test")
_COUNT = re.compile(r"\S+\s+(\d+)\s+(\d+)\.\d+", re.ASCII)


def read_lists(files: Annotations) -> Index:
    """The videos of lists `video label[,label]` or `class/video num_frames label[,label],`."""
    index = read_lt_lists(files)
    _compare_counts(files, index.clips)
    return index


def read_lt_lists(files: Annotations) -> Index:
    """The videos of the long-tailed lists, whose counts are others than those of VideoLT."""
    names, clips = _names(files), list[AnnotatedClip]()
    rows = partial(plain_rows, separator=" ")  # a comma joins labels
    for split, role in _list_files(files).items():
        lines = rows(files.open(role))
        clips += files.faults.fitting(lines, partial(_list_clip, names, split))
    return Index({"label": names.names}, clips)


def read_lt_json(files: Annotations) -> Index:
    """The videos of json lists of `id` and `template` (or `label`): class names, or numbers."""
    names, clips = _names(files), list[AnnotatedClip]()
    for split, role in long_tail_files(files).items():
        entries = files.open(role).objects("id")
        clips += files.faults.fitting(entries, partial(_json_clip, names, split))
    return Index({"label": names.names}, clips)


def _names(files: Annotations) -> ClassNames:
    """The names of count-labels-train.lst, ``name number count``, or of a json of some of them."""
    counts = () if files["classes"].suffix == ".json" else (NUM_CLASSES,)
    return ClassNames(numbered_names(files, "classes", *counts, first=0))


def _list_files(files: Annotations) -> dict[str, str]:
    """Split -> role of its list."""
    parts = {split: split for split in SPLITS}
    if "trainval" in files:
        names = files["trainval"].name, files["val"].name if "val" in files else "val.lst"
        files.notes.append(f"{names[0]} is split val, {names[1]} is split test, as in SSv2-LT")
        parts = {"train": "train", "val": "trainval", "test": "val"}
    return {split: role for split, role in parts.items() if role in files}


def _list_clip(names: ClassNames, split: str, _: SourceLine, row: ListRow) -> AnnotatedClip:
    numbers = [whole(word) for word in split_labels(row.labels["label"], ())]
    labels = tuple(n for n in numbers if n is not None and n < len(names))
    if len(set(labels)) < len(numbers):
        reason = f"labels are 0 to {len(names) - 1}, each once"
        raise Misfit(reason, value=row.labels["label"])
    return clip_of_row(row, split, {"label": labels}, name=video_name(row.path))


def _compare_counts(files: Annotations, clips: list[AnnotatedClip]) -> None:
    """A note if the training list has other counts than the file of counts says."""
    counts: Counter[int] = Counter()
    for clip in clips:
        labels = clip.labels["label"]
        if clip.split == "train" and isinstance(labels, tuple):
            counts.update(labels)
    lines = [_COUNT.fullmatch(text) for _, text in files.open("classes").lines()]
    expected = {int(match[1]): int(match[2]) for match in lines if match}
    differing = [label for label in sorted(expected) if counts[label] != expected[label]]
    if counts and differing:
        files.notes.append(
            f"{counted(len(differing), 'class')} with other counts than "
            f"{files['classes'].name} says,"
            f" the first {differing[0]}: {counts[differing[0]]} for {expected[differing[0]]}"
        )


def _json_clip(
    names: ClassNames, split: str, line: SourceLine, entry: dict[str, object]
) -> AnnotatedClip:
    words = template_of(entry)
    labels = []
    for word in words if isinstance(words, list) else [words]:
        number = word if type(word) is int else whole(str(word))
        if number is None or not 0 <= number < len(names):
            number = names.find(str(word))
        labels.append(number)
    if not labels:
        raise Misfit("no class", "expected a template or label")
    return AnnotatedClip(line, str(entry["id"]), split, {"label": tuple(dict.fromkeys(labels))})


_COUNTS = {"classes": "count-labels-train.lst labels/count-labels-train.lst"}
_LT_PREFIXES = ("something-something-v2-", "videolt-lt-", "videolt-")
_LT_CLASSES = " ".join([_COUNTS["classes"], *(f"{p}labels.json" for p in (*_LT_PREFIXES, ""))])
_LISTS = AnnotationForm(
    title="lists `video label,label`",
    files=_COUNTS | {"train": "train.lst", "val": "validate.lst val.lst", "test": "test.lst"},
    read=read_lists,
)

VIDEOLT = DataSet(
    name="videolt",
    title="VideoLT",
    licence="research only",
    source="videolt.github.io and github.com/17Skye17/VideoLT: lists; features (295 GB a network)"
    " by mail from the authors",
    forms=(
        _LISTS,
        AnnotationForm(
            title="lists `class/video num_frames label,`",
            files=_COUNTS | {split: f"{split}_videofolder.txt" for split in SPLITS},
            read=read_lists,
        ),
    ),
    layouts=in_folders("", "features", "features.h5", "features.hdf5", "videos", "frames"),
    notes=("clips have several classes: a head with `several`, and sigmoid losses",),
    published={"train": 179_334, "val": 25_619, "test": 51_239},
)
VIDEOLT_LT = replace(
    VIDEOLT,
    name="videolt-lt",
    title="VideoLT-LT",
    source="the README of github.com/tobyperrett/lmr: split files; the rest as for videolt, with"
    " its count-labels-train.lst for class names",
    forms=(
        AnnotationForm(
            title="json as Something-Something's",
            files={"classes": _LT_CLASSES, **json_names(*_LT_PREFIXES)},
            read=read_lt_json,
            optional=("trainval", "validation"),
        ),
        replace(
            _LISTS,
            files={**_LISTS.files, "classes": _LT_CLASSES, "trainval": "trainval.lst"},
            read=read_lt_lists,
            optional=("trainval",),
        ),
    ),
    notes=("its lists were not at hand when this was written: look at the counts it prints",),
    published={},
)
