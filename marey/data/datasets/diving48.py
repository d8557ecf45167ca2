"""Diving48 (arXiv 1801.09043): dives of 48 kinds, 15,027 for training and 1,970 for test in V2.

Diving48_vocab.json lists the kinds, each as its parts (take-off, somersaults, twists, position),
whose order numbers them; the json of a split names clips (``vid_name``), kinds and frames. V2
corrects the labels of V1, which are wrong often, and is read where both are there. The test clips
are split `val`.
"""

from __future__ import annotations

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.list_clips import list_clips, plain_lists
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import expect_count
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError

NUM_CLASSES = 48
SPLITS = ("train", "val")


def read_official(files: Annotations) -> Index:
    """The clips of the json files."""
    names = _names(files)
    clips = files.clips(SPLITS, lambda file: file.objects("vid_name", "label"), _clip)
    return Index({"label": names}, clips, "frames")


def read_lists(files: Annotations) -> Index:
    """The clips of lists `path label` or `path num_frames label`, labels from 0."""
    names = _names(files)
    clips = list_clips(files, plain_lists(files, SPLITS), names)
    return Index({"label": names}, list(clips), "frames")


def _names(files: Annotations) -> tuple[str, ...]:
    """The kinds of dives, ``Back+15som+05Twis+FREE``, from the json or a list of names."""
    file = files.open("classes")
    if file.path.suffix != ".json":
        return tuple(numbered_names(files, "classes", NUM_CLASSES))
    parts = file.json()
    try:
        names = ["+".join(words) for words in parts]  # type: ignore[attr-defined]
    except TypeError as error:
        raise ManifestError(
            f"{file.path}: not a list of lists of words: {error}", "download it again"
        ) from error
    expect_count(file.path, names, NUM_CLASSES)
    return tuple(names)


def _clip(split: str, line: SourceLine, entry: dict[str, object]) -> AnnotatedClip:
    label, name = entry["label"], entry["vid_name"]
    first, last = entry.get("start_frame", 0), entry.get("end_frame")
    if type(label) is not int:
        raise Misfit("the label is no whole number", value=label)
    if not isinstance(name, str) or not name:
        raise Misfit("vid_name is no name", value=clip_text(name))
    if type(first) is not int or not (last is None or (type(last) is int and 0 <= first < last)):
        raise Misfit("no span of frames", "the end after the start", value=f"{first} to {last}")
    labels, group = {"label": label}, name.rpartition("_")[0]
    clip = AnnotatedClip(line, name, split, labels, group=group)
    if first:  # in V2 all begin at 0: their files are cut
        return clip._replace(start=first, end=last)
    return clip._replace(num_frames=last)


DIVING48 = DataSet(
    name="diving48",
    title="Diving48",
    licence="research only",
    source="svcl.ucsd.edu/projects/resound/dataset.html: Diving48_rgb.tar.gz and the V2 labels",
    forms=(
        AnnotationForm(
            title="json of V2",
            files={
                "classes": "Diving48_vocab.json label_map.txt",
                "train": "Diving48_V2_train.json",
                "val": "Diving48_V2_test.json",
            },
            read=read_official,
        ),
        AnnotationForm(
            title="lists `path label`",
            files={"classes": "Diving48_vocab.json label_map.txt"}
            | {
                split: f"diving48_{split}_list_rawframes.txt diving48_{split}_list_videos.txt"
                f" {split}_videofolder.txt {split}.txt"
                for split in SPLITS
            },
            read=read_lists,
        ),
        AnnotationForm(
            title="json of V1, whose labels V2 corrects",
            files={
                "classes": "Diving48_vocab.json",
                "train": "Diving48_train.json",
                "val": "Diving48_test.json",
            },
            read=read_official,
        ),
    ),
    layouts=in_folders("rgb", "videos", "rawframes", "frames", ""),
    published={"train": 15_027, "val": 1_970},
)
