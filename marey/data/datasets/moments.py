"""Moments in Time (arXiv 1801.03150): three seconds each, 339 classes in V1, 305 in V2.

moments_categories.txt numbers the classes (``clapping,0``); trainingSet.csv and validationSet.csv
have lines ``file,label,votes for,votes against`` without a header, and the files lie in training/
and validation/. "Mini" is the part of 200 classes that action-recognition-pytorch compares on:
which clips it has is not published, so it is all clips of the classes that are listed, or what
lists ``path start end label`` name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.list_clips import list_clips, plain_lists
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import ClassNames
from marey.data.lists.listing import video_name, without_suffix
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile
from marey.errors import counted

NUM_CLASSES, NUM_MINI = (305, 339), 200
SPLITS = ("train", "val")
_FOLDERS = {"train": "training", "val": "validation"}


def read_official(files: Annotations) -> Index:
    """The clips of the csv files; those of a class that is not listed are rejected."""
    names = ClassNames(numbered_names(files, "classes", *NUM_CLASSES))
    return Index({"label": names.names}, files.clips(SPLITS, TextFile.lines, partial(_clip, names)))


def read_mini(files: Annotations) -> Index:
    """The clips of the listed classes; those of others are left out."""
    names = ClassNames(numbered_names(files, "classes", NUM_MINI))
    others: Counter[str] = Counter()
    clips = files.clips(SPLITS, TextFile.lines, partial(_mini_clip, names, others))
    if others:
        classes = counted(len(others), "other class")
        files.notes.append(f"{counted(others.total(), 'clip')} of {classes} left out")
    return Index({"label": names.names}, [clip for clip in clips if clip])


def read_mini_lists(files: Annotations) -> Index:
    """The clips of lists `path start end label` or `path num_frames label`, labels from 0."""
    names = numbered_names(files, "classes", NUM_MINI)
    lists = plain_lists(files, SPLITS)
    clips = [
        clip._replace(fields={"folder": _FOLDERS[clip.split]})
        for clip in list_clips(files, lists, names, name=_in_class_folder)
    ]
    return Index({"label": tuple(names)}, clips, "frames")


def _clip(names: ClassNames, split: str, line: SourceLine, text: str) -> AnnotatedClip:
    path, word = _path_and_class(text)
    label, fields = names.find(word), {"folder": _FOLDERS[split]}
    return AnnotatedClip(line, without_suffix(path), split, {"label": label}, fields=fields)


def _mini_clip(
    names: ClassNames, others: Counter[str], split: str, line: SourceLine, text: str
) -> AnnotatedClip | None:
    """The clip of a line; None, and it is counted, if it is of another class."""
    _, word = _path_and_class(text)
    if names.index(word) is None:
        others[word] += 1
        return None
    return _clip(names, split, line, text)


def _path_and_class(text: str) -> tuple[str, str]:
    path, _, rest = text.partition(",")
    word = rest.split(",")[0].strip()
    if not path or not word:
        raise Misfit("expected file,label")
    return path, word


def _in_class_folder(path: str) -> str:
    """A clip's name with the folder it lies in: ``act7/a`` of /data/frames/act7/a.mp4."""
    folder = path.rstrip("/").rpartition("/")[0].rpartition("/")[2]
    return f"{folder}/{video_name(path)}" if folder else without_suffix(path)


_CSV = {"train": "trainingSet.csv", "val": "validationSet.csv"}

MOMENTS = DataSet(
    name="moments",
    title="Moments in Time",
    licence="research only, by agreement with the MIT-IBM Watson AI Lab",
    source="moments.csail.mit.edu: videos and csv files, after a form",
    forms=(
        AnnotationForm(
            title="official csv",
            files={"classes": "moments_categories.txt category_momentsv2.txt"} | _CSV,
            read=read_official,
        ),
    ),
    layouts=in_folders("{folder}", "videos/{folder}", "", "videos", "frames"),
)
_MINI = {"classes": "mini_moments.txt mini_mit.txt mini-mit.txt"}
MINI_MOMENTS = replace(
    MOMENTS,
    name="mini-mit",
    title="Mini-Moments in Time",
    source=f"{MOMENTS.source}; and a file of its 200 class names, mini_moments.txt",
    forms=(
        AnnotationForm(title="official csv, of 200 classes", files=_MINI | _CSV, read=read_mini),
        AnnotationForm(
            title="lists `path start end label`",
            files=_MINI | {split: f"{split}.txt {split}_videofolder.txt" for split in SPLITS},
            read=read_mini_lists,
        ),
    ),
)
