"""What the data sets of TwentyBN share: clips called by numbers, csv files `id;label`, lists.

TSM, GC and UniFormer number the classes alphabetically, mmaction2 as its label_map.txt has them.
The manifest is alphabetical for both, as Something-Something V2 is by its official file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, Index
from marey.data.datasets.list_clips import list_clips, plain_lists
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import ClassNames, unbracketed
from marey.data.lists.listing import video_name
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile, whole

SPLITS = ("train", "val", "test")
FRAMES_A_SECOND = 12.0
_CSV = re.compile(r"\s*([^;,]*?)\s*(?:[;,](.*))?")


def read_csv(files: Annotations, names: Sequence[str]) -> Index:
    """The clips of csv files `id;label` without a header; those of the test file have no label."""
    known = ClassNames(names)
    clips = files.clips(SPLITS, TextFile.lines, partial(csv_clip, known))
    return Index({"label": known.names}, clips)


def list_forms(version: int, num_classes: int) -> tuple[AnnotationForm, AnnotationForm]:
    """The lists of Something-Something: of TSM, GC and UniFormer, and of mmaction2."""
    somesome, sth = f"somesomev{version}_rgb", f"sthv{version}"
    return (
        AnnotationForm(
            title="lists `id num_frames label`",
            files={
                "classes": "category.txt",
                "train": f"{somesome}_train_split.txt train_videofolder.txt",
                "val": f"{somesome}_validation_split.txt val_videofolder.txt",
                "test": f"{somesome}_test_split.txt test_videofolder.txt",
            },
            read=partial(_read_alphabetical, num_classes=num_classes),
        ),
        AnnotationForm(
            title="lists of mmaction2",
            files={
                "classes": "label_map.txt",
                "train": f"{sth}_train_list_rawframes.txt {sth}_train_list_videos.txt",
                "val": f"{sth}_val_list_rawframes.txt {sth}_val_list_videos.txt",
            },
            read=partial(_read_as_mapped, num_classes=num_classes),
        ),
    )


def _read_alphabetical(files: Annotations, num_classes: int) -> Index:
    """The clips of lists whose labels count the names of role `classes` alphabetically."""
    return read_lists(files, sorted(class_names(files, num_classes)))


def _read_as_mapped(files: Annotations, num_classes: int) -> Index:
    """The clips of lists whose labels count the lines of `classes`, renumbered alphabetically."""
    names = class_names(files, num_classes)
    return read_lists(files, names, sorted(names))


def class_names(files: Annotations, num_classes: int) -> list[str]:
    """The class names of role `classes`, one a line, without brackets."""
    return [unbracketed(name) for name in numbered_names(files, "classes", num_classes)]


def read_lists(
    files: Annotations, names: Sequence[str], official: Sequence[str] | None = None
) -> Index:
    """The clips of lists whose labels count `names`, renumbered to count `official` if given.

    A list of test clips has 0 in place of labels, which are not published: it is read without.
    """
    official = official or names
    numbers = [official.index(name) for name in names]
    clips = []
    for clip in list_clips(files, plain_lists(files, SPLITS), names, name=clip_id):
        label = clip.labels["label"]
        assert isinstance(label, int)
        labels = {} if clip.split == "test" else {"label": numbers[label]}
        clips.append(clip._replace(labels=labels))
    if "test" in files:
        files.notes.append(f"{files['test'].name} has no true labels: read without")
    return Index({"label": tuple(official)}, clips, "frames")


def clip_id(path: str) -> str:
    """The number that a clip is called by, by its path; `Misfit` if there is none."""
    name = video_name(path)
    if whole(name) is None:
        raise Misfit("no clip: they are called by numbers", "remove the line", value=path)
    return name


def csv_clip(names: ClassNames, split: str, line: SourceLine, text: str) -> AnnotatedClip:
    """The clip of a line `id;label`, or of the test set `id`."""
    match = _CSV.fullmatch(text)
    if match is None or whole(match[1]) is None:
        raise Misfit("no clip: they are called by numbers", "remove the line")
    name, label = match[1], match[2]
    if label is None and split != "test":
        raise Misfit("no label", "expected `id;label`")
    labels = {} if label is None else {"label": names.find(label.strip().strip('"'))}
    return AnnotatedClip(line, name, split, labels)
