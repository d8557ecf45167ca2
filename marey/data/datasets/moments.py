"""Moments in Time (arXiv 1801.03150): three seconds each, 339 classes in V1, 305 in V2.

moments_categories.txt numbers the classes (``clapping,0``); trainingSet.csv and validationSet.csv
have lines ``file,label,votes for,votes against`` without a header, and the files lie in training/
and validation/. "Mini" is the part of 200 classes that action-recognition-pytorch compares on:
which clips it has is not published, so it is all clips of the classes that are listed, or what
lists ``path start end label`` name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index
from marey.data.lists.annotation_files import Annotations, SourceLine
from marey.data.lists.class_names import ClassNames
from marey.data.lists.frame_lists import list_rows
from marey.data.lists.name_lists import numbered_names, video_name, without_suffix

NUM_CLASSES, NUM_MINI = (305, 339), 200
_FOLDERS = {"train": "training", "val": "validation"}


def read_official(files: Annotations) -> Index:
    """The clips of the csv files; those of a class that is not listed are rejected."""
    names = ClassNames(numbered_names(files, "classes", *NUM_CLASSES))
    clips = [
        _clip(place, path, split, label)
        for place, split, path, word in _rows(files)
        if (label := names.known(files, place, word)) is not None
    ]
    return Index({"label": names.names}, clips)


def read_mini(files: Annotations) -> Index:
    """The clips of the listed classes; those of others are left out."""
    names = ClassNames(numbered_names(files, "classes", NUM_MINI))
    clips, others = [], Counter[str]()
    for place, split, path, word in _rows(files):
        label = names.index(word)
        if label is None:
            others[word] += 1
        else:
            clips.append(_clip(place, path, split, label))
    if others:
        said = f"{others.total():,} clips of {len(others)} other classes are no part of it"
        files.notes.append(said)
    return Index({"label": names.names}, clips)


def read_mini_lists(files: Annotations) -> Index:
    """The clips of lists `path start end label` or `path num_frames label`, labels from 0."""
    names = numbered_names(files, "classes", NUM_MINI)
    clips = []
    for split in _FOLDERS:
        for row in list_rows(files, split) if split in files else ():
            folder = row.path.rstrip("/").rpartition("/")[0].rpartition("/")[2]
            path = f"{folder}/{video_name(row.path)}" if folder else row.path
            clip = _clip(row.place, path, split, row.label)
            clips.append(clip._replace(start=row.start, end=row.end, num_frames=row.num_frames))
    return Index({"label": tuple(names)}, clips, "frames")


def _rows(files: Annotations) -> Iterator[tuple[SourceLine, str, str, str]]:
    """(place, split, file, class) of every line."""
    for split in _FOLDERS:
        for place, line in files.lines(split) if split in files else ():
            path, _, rest = line.partition(",")
            word = rest.split(",")[0].strip()
            if path and word:
                yield place, split, path, word
            else:
                files.reject(place, line, "expected file,label")


def _clip(place: SourceLine, path: str, split: str, label: int) -> AnnotatedClip:
    fields = {"folder": _FOLDERS[split]}
    return AnnotatedClip(place, without_suffix(path), split, {"label": label}, fields=fields)


_CSV = {"train": ("trainingSet.csv",), "val": ("validationSet.csv",)}
_LICENCE = "research only, by agreement with the MIT-IBM Watson AI Lab"
_SOURCE = "moments.csail.mit.edu: videos and csv files, after a form"
_LAYOUTS = ("{folder}/{name}", "videos/{folder}/{name}", "{name}", "videos/{name}", "frames/{name}")

MOMENTS = DataSet(
    name="moments",
    title="Moments in Time",
    licence=_LICENCE,
    source=_SOURCE,
    forms=(
        AnnotationForm(
            "official csv",
            {"classes": ("moments_categories.txt", "category_momentsv2.txt"), **_CSV},
            read_official,
        ),
    ),
    layouts=_LAYOUTS,
)
_MINI_CLASSES = {"classes": ("mini_moments.txt", "mini_mit.txt", "mini-mit.txt")}
MINI_MOMENTS = DataSet(
    name="mini-mit",
    title="Mini-Moments in Time",
    licence=_LICENCE,
    source=f"{_SOURCE}; and a file of its 200 class names, mini_moments.txt",
    forms=(
        AnnotationForm("official csv, of 200 classes", {**_MINI_CLASSES, **_CSV}, read_mini),
        AnnotationForm(
            "lists `path start end label`",
            {
                **_MINI_CLASSES,
                "train": ("train.txt", "train_videofolder.txt"),
                "val": ("val.txt", "val_videofolder.txt"),
            },
            read_mini_lists,
        ),
    ),
    layouts=_LAYOUTS,
)
