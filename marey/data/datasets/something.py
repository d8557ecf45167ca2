"""What the data sets of TwentyBN share: clips called by numbers, csv files `id;label`, lists.

TSM, GC and UniFormer number the classes alphabetically, mmaction2 as its label_map.txt has them.
The manifest is alphabetical for both, as Something-Something V2 is by its official file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from marey.data.datasets.dataset import AnnotatedClip, Index, listed_clips
from marey.data.lists.annotation_files import Annotations, SourceLine, whole
from marey.data.lists.class_names import ClassNames, expect_count, unbracketed
from marey.data.lists.name_lists import video_name
from marey.data.manifest.faults import clip_text

SPLITS = ("train", "val", "test")
FRAMES_A_SECOND = 12.0
_CSV = re.compile(r"\s*([^;,]*?)\s*(?:[;,](.*))?")


def read_csv(files: Annotations, names: Sequence[str]) -> Index:
    """The clips of csv files `id;label` without a header; those of the test file have no label."""
    known = ClassNames(names)
    clips = []
    for split in SPLITS:
        for place, line in files.lines(split) if split in files else ():
            clip = _csv_clip(files, place, line, split, known)
            clips += [clip] if clip else []
    return Index({"label": known.names}, clips)


def read_alphabetical(files: Annotations, num_classes: int) -> Index:
    """The clips of lists whose labels count the names of role `classes` alphabetically."""
    names = listed_names(files, num_classes)
    return read_lists(files, sorted(names), tuple(sorted(names)))


def read_as_mapped(files: Annotations, num_classes: int) -> Index:
    """The clips of lists whose labels count the lines of `classes`, renumbered alphabetically."""
    names = listed_names(files, num_classes)
    return read_lists(files, names, tuple(sorted(names)))


def listed_names(files: Annotations, num_classes: int) -> list[str]:
    """The class names of a file that has one a line, without brackets."""
    names = [unbracketed(line) for _, line in files.lines("classes")]
    expect_count(files["classes"], names, num_classes)
    return names


def read_lists(files: Annotations, listed: Sequence[str], official: tuple[str, ...]) -> Index:
    """The clips of lists whose labels count `listed`, renumbered to count `official`.

    A list of test clips has 0 in place of labels, which are not published: it is read without.
    """
    places = {name: place for place, name in enumerate(official)}
    numbers = [places[name] for name in listed]
    rows = listed_clips(files, SPLITS)
    clips = [found for clip in rows if (found := _renumbered(files, clip, numbers))]
    if "test" in files:
        files.notes.append(f"{files['test'].name} has no true labels: read without")
    return Index({"label": official}, clips, "frames")


def clip_id(files: Annotations, place: SourceLine, text: str) -> str | None:
    """The number that a clip is called by; a row without one is rejected."""
    name = video_name(text)
    if whole(name) is None:
        files.reject(place, text, "no clip: they are called by numbers", "remove the line")
        return None
    return name


def _csv_clip(
    files: Annotations, place: SourceLine, line: str, split: str, names: ClassNames
) -> AnnotatedClip | None:
    found = _CSV.fullmatch(line)
    name, text = (found[1], found[2]) if found else (line, None)
    if whole(name) is None:
        files.reject(place, line, "no clip: they are called by numbers", "remove the line")
    elif text is None and split != "test":
        files.reject(place, line, "no label", "expected `id;label`")
    elif text is None:
        return AnnotatedClip(place, name, split, {})
    else:
        label = names.known(files, place, text.strip().strip('"'))
        return None if label is None else AnnotatedClip(place, name, split, {"label": label})
    return None


def _renumbered(
    files: Annotations, clip: AnnotatedClip, numbers: Sequence[int]
) -> AnnotatedClip | None:
    """A clip of a list as the manifest has it; None, and a reject, if it does not fit."""
    label = clip.labels["label"]
    assert isinstance(label, int)
    if clip_id(files, clip.place, clip.name) is None:
        return None
    if clip.split == "test":
        return clip._replace(labels={})
    if label >= len(numbers):
        files.reject(clip.place, label, f"labels are 0 to {len(numbers) - 1}")
        return None
    return clip._replace(labels={"label": numbers[label]})


def restricted(index: Index, files: Annotations, role: str, num_classes: int) -> Index:
    """The clips of an index whose class is named in a file; classes are numbered as it has them.

    How a name is written in the index counts; a name that is written otherwise is noted.
    """
    known, wanted = ClassNames(index.classes["label"]), dict[int, SourceLine]()
    for place, line in files.lines(role):
        number = known.known(files, place, line)
        if number is not None:
            wanted[number] = place
            if unbracketed(line) != known.names[number]:
                files.notes.append(f"{place}: {clip_text(line)} is read as {known.names[number]!r}")
    names = [known.names[number] for number in wanted]
    expect_count(files[role], names, num_classes)
    numbers = {number: place for place, number in enumerate(wanted)}
    clips = []
    for clip in index.clips:
        label = clip.labels.get("label")
        if isinstance(label, int) and label in numbers:
            clips.append(clip._replace(labels={"label": numbers[label]}))
    if len(clips) < len(index.clips):
        files.notes.append(
            f"{len(index.clips) - len(clips):,} clips of other classes, or without one, left out"
        )
    return Index({"label": tuple(names)}, clips, index.unit)
