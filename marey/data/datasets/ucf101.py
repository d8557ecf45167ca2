"""UCF101 (arXiv 1212.0402): 13,320 clips of 101 classes, three splits into training and test.

classInd.txt numbers the classes from 1; lists of a split name clips by class folder, and those for
training end their lines with the number. TSN, TSM, mmaction2 and UniFormer publish lists with
labels from 0. Clips of one group (``g07``) are cut from one video; the splits keep groups whole.
The test list is split `val`, as those code bases have it: there is no third.

The class HandstandPushups has clips named v_HandStandPushups, which are taken as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.list_clips import list_clips, plain_lists, tsn_lists
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import ClassNames, expect_count
from marey.data.lists.listing import ListRow, video_name
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile, whole
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError

NUM_CLASSES = 101
SPLITS = ("train", "val")
_PUBLISHED = {1: (9_537, 3_783), 2: (9_586, 3_734), 3: (9_624, 3_696)}
_CLIP = re.compile(r"v_(\w+)_(g\d+)_c\d+", re.ASCII)


def read_official(files: Annotations) -> Index:
    """The clips of trainlist and testlist, by the class folders in their paths."""
    names = ClassNames(numbered_names(files, "classes", NUM_CLASSES))
    clips = files.clips(SPLITS, TextFile.lines, partial(_official_clip, names))
    return Index({"label": names.names}, clips)


def read_lists(files: Annotations) -> Index:
    """The clips of lists `path label` or `path num_frames label`, labels from 0."""
    lists = {split: list(rows) for split, rows in plain_lists(files, SPLITS).items()}
    if "classes" in files:
        names = numbered_names(files, "classes", NUM_CLASSES)
    else:
        names = _names_in_paths(files[next(iter(lists))], lists)
    clips = [
        clip._replace(group=_group(clip.name))
        for clip in list_clips(files, lists, names, class_of_path=_class_in_path)
    ]
    return Index({"label": tuple(names)}, clips, "frames")


def _official_clip(names: ClassNames, split: str, line: SourceLine, text: str) -> AnnotatedClip:
    path, *number = text.split()
    if path.endswith("/") or not (split == "train") <= len(number) <= 1:
        raise Misfit("expected `class/clip number`; of test clips, `class/clip`")
    label, name = names.find(path.partition("/")[0]), video_name(path)
    if number and whole(number[0]) != label + 1:
        raise Misfit(f"its folder is class {label + 1}, the line says {number[0]}")
    return AnnotatedClip(line, name, split, {"label": label}, group=_group(name))


def _group(name: str) -> str:
    """The video that a clip is cut from, as class and group; empty if its name has none."""
    match = _CLIP.fullmatch(name)
    return f"{match[1]}_{match[2]}" if match else ""


def _names_in_paths(path: Path, lists: Mapping[str, Sequence[ListRow]]) -> list[str]:
    """The class names by label, each from the first path that has it."""
    names: dict[int, str] = {}
    for row in chain.from_iterable(lists.values()):
        label = whole(row.labels["label"])
        if label is not None:
            names.setdefault(label, _class_in_path(row.path))
    expect_count(path, list(names.values()), NUM_CLASSES)
    if set(names) != set(range(NUM_CLASSES)) or not all(names.values()):
        raise ManifestError(
            f"{path}: labels {clip_text(sorted(names), 40)} do not name 101 classes from 0",
            "put classInd.txt beside the lists",
        )
    return [names[label] for label in range(NUM_CLASSES)]


def _class_in_path(path: str) -> str:
    """The class folder, else the class that the clip is named by; empty if neither."""
    match = _CLIP.fullmatch(video_name(path))
    folder = Path(path).parent.name
    if match and folder.casefold() == match[1].casefold():
        return folder
    return match[1] if match else ""


def _split(number: int) -> DataSet:
    official = {
        "classes": "classInd.txt",
        "train": f"trainlist{number:02}.txt",
        "val": f"testlist{number:02}.txt",
    }
    lists = {"classes": "classInd.txt label_map.txt"} | tsn_lists("ucf101", number, "csv")
    return DataSet(
        name=f"ucf101-split{number}",
        title=f"UCF101, split {number}",
        licence="research only",
        source="crcv.ucf.edu/data/UCF101.php: UCF101.rar and UCF101TrainTestSplits-RecognitionTask",
        forms=(
            AnnotationForm(title="trainlist and testlist", files=official, read=read_official),
            AnnotationForm(title="lists `path label`", files=lists, read=read_lists, needs=()),
        ),
        layouts=(
            *in_folders("UCF-101/{class}", "videos/{class}", "rawframes/{class}", "{class}"),
            *in_folders("jpg", "frames", ""),
        ),
        frame_rate=lambda _: 25.0,
        published=dict(zip(SPLITS, _PUBLISHED[number], strict=True)),
    )


UCF101 = tuple(_split(number) for number in (1, 2, 3))
