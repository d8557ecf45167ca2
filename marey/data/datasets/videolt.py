"""VideoLT (arXiv 2105.02668): 256,192 videos of 1,004 classes, up to 7 of them each, as features.

Lists ``video label[,label]`` for training, validation and test (179,334, 25,619 and 51,239 videos);
count-labels-train.lst names and numbers the classes and counts their training videos, 196,798 in
all, 1,912 of the most frequent and 44 of the rarest. ``*_videofolder.txt`` say the same as
``class/video num_frames label,label,``. Features are one ``.npy`` a video, 2,048 numbers a frame,
or the same by name in an HDF5 file.

VideoLT-LT is the part of it that LMR (arXiv 2304.01143) makes. Its files are said to be json as
Something-Something's, whose ``template`` is a class here, and lists as above; which splits they
have is not published, so they are taken by their names. Where there is a trainval.json, it is the
validation list and val.json the test list, as SSv2-LT has it.

**Deviates**: the authors validate on test.lst. Here validate.lst is split `val`, test.lst `test`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index
from marey.data.lists.annotation_files import Annotations, SourceLine, whole
from marey.data.lists.class_names import ClassNames, expect_count

NUM_CLASSES = 1004
SPLITS = ("train", "val", "test")


def read_lists(files: Annotations) -> Index:
    """The videos of lists `video label[,label]` or `class/video num_frames label[,label],`."""
    names, counts = _classes(files)
    clips = [
        clip for split in SPLITS if split in files for clip in _list_clips(files, split, names)
    ]
    _compare_counts(files, clips, counts)
    return Index({"label": names.names}, clips)


def read_lt_lists(files: Annotations) -> Index:
    """The videos of the long-tailed lists, whose counts are others than those of VideoLT."""
    names, _ = _classes(files)
    clips = [
        clip for split in SPLITS if split in files for clip in _list_clips(files, split, names)
    ]
    return Index({"label": names.names}, clips)


def read_lt_json(files: Annotations) -> Index:
    """The videos of json lists of `id` and `template` (or `label`): class names, or numbers."""
    names, _ = _classes(files)
    clips = []
    for role, split in _lt_splits(files):
        for place, entry in files.objects(role, ("id",)):
            found = _json_labels(files, place, entry, names)
            if found:
                clips.append(AnnotatedClip(place, str(entry["id"]), split, {"label": found}))
    return Index({"label": names.names}, clips)


def _classes(files: Annotations) -> tuple[ClassNames, list[int]]:
    """The names of count-labels-train.lst by number, and how many training videos each has."""
    rows: dict[int | None, tuple[str, int]] = {}
    for place, line in files.lines("classes"):
        name, *numbers = line.split()
        number = whole(numbers[0]) if numbers else None
        count = whole(numbers[1].removesuffix(".0")) if len(numbers) == 2 else None
        if number is None or number in rows or count is None:
            files.reject(place, line, "expected `name number count`, each number once")
        else:
            rows[number] = (name, count)
    named = [rows.get(number, ("", 0)) for number in range(NUM_CLASSES)]
    expect_count(files["classes"], [name for name, _ in named if name], NUM_CLASSES)
    return ClassNames([name for name, _ in named]), [count for _, count in named]


def _list_clips(files: Annotations, split: str, names: ClassNames) -> Iterator[AnnotatedClip]:
    for place, line in files.lines(split):
        fields = line.split()
        labels = [whole(word) for word in fields[-1].rstrip(",").split(",")]
        known = tuple(label for label in labels if label is not None and label < len(names))
        num_frames = whole(fields[1]) if len(fields) == 3 else None
        if len(fields) != 2 and num_frames is None:
            files.reject(place, line, "expected `video label,label` or `video num_frames label,`")
        elif len(known) != len(labels) or len(set(known)) != len(known):
            files.reject(place, line, f"labels are 0 to {len(names) - 1}, each once")
        else:
            video = fields[0].rpartition("/")[2]
            yield AnnotatedClip(place, video, split, {"label": known}, num_frames=num_frames)


def _compare_counts(files: Annotations, clips: list[AnnotatedClip], counts: list[int]) -> None:
    """A note if the training list has other counts than the file of counts says."""
    found: Counter[int] = Counter()
    for clip in clips:
        labels = clip.labels["label"]
        if clip.split == "train" and isinstance(labels, tuple):
            found.update(labels)
    differing = [label for label, count in enumerate(counts) if found[label] != count]
    if found and differing:
        files.notes.append(
            f"{len(differing):,} classes have other counts than {files['classes'].name} says,"
            f" the first {differing[0]}: {found[differing[0]]} for {counts[differing[0]]}"
        )


def _lt_splits(files: Annotations) -> list[tuple[str, str]]:
    """(role, split) of the json files that are there."""
    if "trainval" in files:
        files.notes.append("trainval.json is split val, val.json is split test, as in SSv2-LT")
        parts = [("train", "train"), ("trainval", "val"), ("val", "test")]
    else:
        parts = [(split, split) for split in SPLITS]
    return [(role, split) for role, split in parts if role in files]


def _json_labels(
    files: Annotations, place: SourceLine, entry: dict[str, object], names: ClassNames
) -> tuple[int, ...]:
    """The classes of one object; none, and a reject, if one is not known."""
    said = entry.get("template", entry.get("label"))
    found = []
    for word in said if isinstance(said, list) else [said]:
        number = word if type(word) is int else whole(str(word))
        if number is not None and number < len(names) and number >= 0:
            found.append(number)
        elif (label := names.known(files, place, str(word))) is not None:
            found.append(label)
        else:
            return ()
    if not found:
        files.reject(place, entry, "no class", "expected a template or label")
    return tuple(dict.fromkeys(found))


_COUNTS = {"classes": ("count-labels-train.lst", "labels/count-labels-train.lst")}
_LICENCE = "research only"
_LAYOUTS = (
    "{name}",
    "features/{name}",
    "features.h5/{name}",
    "features.hdf5/{name}",
    "videos/{name}",
    "frames/{name}",
)

VIDEOLT = DataSet(
    name="videolt",
    title="VideoLT",
    licence=_LICENCE,
    source="videolt.github.io and github.com/17Skye17/VideoLT: lists; features (295 GB a network)"
    " by mail from the authors",
    forms=(
        AnnotationForm(
            "lists `video label,label`",
            {
                **_COUNTS,
                "train": ("train.lst",),
                "val": ("validate.lst", "val.lst"),
                "test": ("test.lst",),
            },
            read_lists,
        ),
        AnnotationForm(
            "lists `class/video num_frames label,`",
            {
                **_COUNTS,
                "train": ("train_videofolder.txt",),
                "val": ("val_videofolder.txt",),
                "test": ("test_videofolder.txt",),
            },
            read_lists,
        ),
    ),
    layouts=_LAYOUTS,
    notes=("clips have several classes: a head with `several`, and sigmoid losses",),
)

VIDEOLT_LT = DataSet(
    name="videolt-lt",
    title="VideoLT-LT",
    licence=_LICENCE,
    source="the README of github.com/tobyperrett/lmr: split files; the rest as for videolt, with"
    " its count-labels-train.lst for class names",
    forms=(
        AnnotationForm(
            "json as Something-Something's",
            {
                **_COUNTS,
                "train": ("train.json",),
                "trainval": ("trainval.json",),
                "val": ("val.json",),
                "test": ("test.json",),
            },
            read_lt_json,
        ),
        AnnotationForm(
            "lists `video label,label`",
            {
                **_COUNTS,
                "train": ("train.lst",),
                "val": ("validate.lst", "val.lst"),
                "test": ("test.lst",),
            },
            read_lt_lists,
        ),
    ),
    layouts=_LAYOUTS,
    notes=("its lists were not at hand when this was written: look at the counts it prints",),
)
