"""UCF101 (arXiv 1212.0402): 13,320 clips of 101 classes, three splits into training and test.

classInd.txt numbers the classes from 1; lists of a split name clips by class folder, and those for
training end their lines with the number. TSN, TSM, mmaction2 and UniFormer publish lists with
labels from 0. Clips of one group (``g07``) are cut from one video; the splits keep groups whole.
The test list is split `val`, as those code bases have it: there is no third.

The class HandstandPushups has clips named v_HandStandPushups, which are taken as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index
from marey.data.lists.annotation_files import Annotations, SourceLine, whole
from marey.data.lists.class_names import ClassNames, expect_count
from marey.data.lists.frame_lists import ListRow, list_rows
from marey.data.lists.name_lists import agrees, numbered_names, video_name
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError

NUM_CLASSES = 101
_CLIP = re.compile(r"v_(\w+)_(g\d+)_c\d+", re.ASCII)


def read_official(files: Annotations) -> Index:
    """The clips of trainlist and testlist, by the class folders in their paths."""
    names = ClassNames(numbered_names(files, "classes", NUM_CLASSES))
    clips = [
        clip
        for split in ("train", "val")
        if split in files
        for place, line in files.lines(split)
        if (clip := _official_clip(files, place, line, split, names))
    ]
    return Index({"label": names.names}, clips)


def read_lists(files: Annotations) -> Index:
    """The clips of lists `path label` or `path num_frames label`, labels from 0."""
    rows = {split: list(list_rows(files, split)) for split in ("train", "val") if split in files}
    if "classes" in files:
        names: Sequence[str] = numbered_names(files, "classes", NUM_CLASSES)
    else:
        names = _names_in_paths(
            files[next(iter(rows))], [row for of in rows.values() for row in of]
        )
    known = ClassNames(names)
    clips = [
        _clip(row.place, row.path, split, row.label)._replace(
            start=row.start, end=row.end, num_frames=row.num_frames
        )
        for split, listed in rows.items()
        for row in listed
        if agrees(files, row, known, _class_in_path(row.path))
    ]
    return Index({"label": tuple(names)}, clips, "frames")


def _official_clip(
    files: Annotations, place: SourceLine, line: str, split: str, names: ClassNames
) -> AnnotatedClip | None:
    path, *number = line.split()
    if path.endswith("/") or not (split == "train") <= len(number) <= 1:
        files.reject(place, line, "expected `class/clip number`; of test clips, `class/clip`")
        return None
    label = names.known(files, place, path.partition("/")[0])
    if label is None:
        return None
    if number and whole(number[0]) != label + 1:
        files.reject(place, line, f"its folder is class {label + 1}, the line says {number[0]}")
        return None
    return _clip(place, path, split, label)


def _clip(place: SourceLine, path: str, split: str, label: int) -> AnnotatedClip:
    name = video_name(path)
    found = _CLIP.fullmatch(name)
    group = f"{found[1]}_{found[2]}" if found else ""
    return AnnotatedClip(place, name, split, {"label": label}, group=group)


def _names_in_paths(path: Path, rows: Sequence[ListRow]) -> list[str]:
    """The class names by label, each from the first path that has it."""
    found: dict[int, str] = {}
    for row in rows:
        found.setdefault(row.label, _class_in_path(row.path))
    expect_count(path, list(found.values()), NUM_CLASSES)
    if set(found) != set(range(NUM_CLASSES)) or not all(found.values()):
        raise ManifestError(
            f"{path}: labels {clip_text(sorted(found), 40)} do not name 101 classes from 0",
            "put classInd.txt beside the lists",
        )
    return [found[label] for label in range(NUM_CLASSES)]


def _class_in_path(path: str) -> str:
    """The class folder, else the class that the clip is named by; empty if neither."""
    found = _CLIP.fullmatch(video_name(path))
    folder = Path(path).parent.name
    if found and folder.casefold() == found[1].casefold():
        return folder
    return found[1] if found else ""


def _split(number: int) -> DataSet:
    lists = {
        split: (
            f"ucf101_rgb_{split}_split_{number}.txt",
            f"ucf101_{split}_split_{number}_rawframes.txt",
            f"ucf101_{split}_split_{number}_videos.txt",
            f"split{number}/{split}.csv",
        )
        for split in ("train", "val")
    }
    official = {
        "classes": ("classInd.txt",),
        "train": (f"trainlist{number:02}.txt",),
        "val": (f"testlist{number:02}.txt",),
    }
    return DataSet(
        name=f"ucf101-split{number}",
        title=f"UCF101, split {number}",
        licence="research only",
        source="crcv.ucf.edu/data/UCF101.php: UCF101.rar and UCF101TrainTestSplits-RecognitionTask",
        forms=(
            AnnotationForm("trainlist and testlist", official, read_official),
            AnnotationForm(
                "lists `path label`",
                {"classes": ("classInd.txt", "label_map.txt"), **lists},
                read_lists,
                needs=(),
            ),
        ),
        layouts=(
            "UCF-101/{class}/{name}",
            "videos/{class}/{name}",
            "rawframes/{class}/{name}",
            "{class}/{name}",
            "jpg/{name}",
            "frames/{name}",
            "{name}",
        ),
        frame_rate=lambda _: 25.0,
    )


UCF101 = tuple(_split(number) for number in (1, 2, 3))
