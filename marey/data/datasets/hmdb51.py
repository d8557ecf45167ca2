"""HMDB51 (Kuehne et al., ICCV 2011): 6,766 clips of 51 classes, three splits of 3,570 and 1,530.

A split has a file for every class, ``brush_hair_test_split1.txt``, whose lines end in 1 for
training, 2 for test and 0 for neither. Class names, which no file lists, are in alphabetical order
in every code base. TSN, TSM, mmaction2 and UniFormer publish lists with labels from 0. The test
clips are split `val`.
"""

from __future__ import annotations

import re

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.list_clips import list_clips, plain_lists, tsn_lists
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.listing import video_name
from marey.errors import counted

CLASSES = tuple(
    "brush_hair cartwheel catch chew clap climb climb_stairs dive draw_sword dribble drink eat "  # noqa: SIM905
    "fall_floor fencing flic_flac golf handstand hit hug jump kick kick_ball kiss laugh pick pour "
    "pullup punch push pushup ride_bike ride_horse run shake_hands shoot_ball shoot_bow shoot_gun "
    "sit situp smile smoke somersault stand swing_baseball sword sword_exercise talk throw turn "
    "walk wave".split()
)
_SPLITS = {"1": "train", "2": "val"}
_NAME = re.compile(r"(.+)_[fhlu]_(?:cm|nm)_np\d+_\w+")
_LONGEST = sorted(CLASSES, key=len, reverse=True)


def read_official(files: Annotations) -> Index:
    """The clips of 51 files, a class each."""
    clips, num_others = [], 0
    for label, name in enumerate(CLASSES):
        for line, text in files.open(name).lines():
            video, _, use = text.rpartition(" ")
            if use in _SPLITS and video:
                labels = {"label": label}
                clips.append(AnnotatedClip(line, video_name(video), _SPLITS[use], labels))
            elif use == "0" and video:
                num_others += 1
            else:
                files.reject(line, text, "expected a video and 0, 1 or 2")
    if num_others:
        files.notes.append(f"{counted(num_others, 'clip')} in neither part of this split")
    return Index({"label": CLASSES}, clips)


def read_lists(files: Annotations) -> Index:
    """The clips of lists `path label` or `path num_frames label`, labels from 0."""
    names = CLASSES
    if "classes" in files:
        names = tuple(numbered_names(files, "classes", len(CLASSES)))
    lists = plain_lists(files, ("train", "val"))
    clips = list_clips(files, lists, names, class_of_path=_class_in_name)
    return Index({"label": names}, list(clips), "frames")


def _class_in_name(path: str) -> str:
    """The class in a name like ``April_09_brush_hair_u_nm_np1_ba_goo_0``; empty without one."""
    match = _NAME.fullmatch(video_name(path))
    return next((name for name in _LONGEST if match and match[1].endswith(f"_{name}")), "")


def _split(number: int) -> DataSet:
    official = {name: f"{name}_test_split{number}.txt" for name in CLASSES}
    lists = {"classes": "label_map.txt"} | tsn_lists("hmdb51", number, "txt")
    return DataSet(
        name=f"hmdb51-split{number}",
        title=f"HMDB51, split {number}",
        licence="CC BY 4.0; the clips are of films and of the web",
        source="serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database:"
        " hmdb51_org.rar and test_train_splits.rar",
        forms=(
            AnnotationForm(
                title="a file a class", files=official, read=read_official, needs=CLASSES
            ),
            AnnotationForm(title="lists `path label`", files=lists, read=read_lists, needs=()),
        ),
        layouts=(
            *in_folders("hmdb51_org/{class}", "videos/{class}", "rawframes/{class}", "{class}"),
            *in_folders("images", "frames", ""),
        ),
        frame_rate=lambda _: 30.0,
        published={"train": 3_570, "val": 1_530},
    )


HMDB51 = tuple(_split(number) for number in (1, 2, 3))
