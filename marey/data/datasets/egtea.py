"""EGTEA Gaze+ (Li et al., ECCV 2018): 10,321 clips of 106 actions, cooking seen by the cook.

The authors hand out one file a clip and lists ``name action verb noun...``, numbered from 1. RULSTM
publishes csv files without a header, ``number,video,start,stop,verb,noun,action``: parts of the
whole videos, in frames of 30 a second rounded down, numbered from 0 (the videos have 24). The test
lists are split `val`, as in Group Contextualization's rows; parts of one video lie in both.
"""

from __future__ import annotations

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index
from marey.data.lists.annotation_files import Annotations, whole
from marey.data.lists.name_lists import numbered_names, video_name
from marey.data.lists.rulstm import segments

NUM_CLASSES = 106
SPLITS = ("train", "val")


def read_official(files: Annotations) -> Index:
    """The clips of train_split and test_split: a file each."""
    names = numbered_names(files, "classes", NUM_CLASSES)
    clips = []
    for split in SPLITS:
        for place, line in files.lines(split) if split in files else ():
            path, *numbers = line.split()
            action = whole(numbers[0]) if numbers else None
            if not action:
                files.reject(place, line, "expected a clip and its action, from 1")
                continue
            name = video_name(path)
            video = "-".join(name.split("-")[:3])  # person, round, recipe; then times
            clips.append(
                AnnotatedClip(
                    place, name, split, {"label": action - 1}, group=video, fields={"video": video}
                )
            )
    return Index({"label": tuple(names)}, clips)


def read_rulstm(files: Annotations) -> Index:
    """The parts of whole videos that RULSTM's csv files name."""
    names = _rulstm_names(files)
    clips = []
    for split in SPLITS:
        for found in segments(files, split) if split in files else ():
            clips.append(
                AnnotatedClip(
                    found.place,
                    found.video,
                    split,
                    {"label": found.action},
                    found.start,
                    found.end,
                    group=found.video,
                    id=found.uid,
                    fields={"video": found.video},
                )
            )
    return Index({"label": names}, clips)


def _rulstm_names(files: Annotations) -> tuple[str, ...]:
    """The actions of actions.csv, ``0, 0_0, Inspect/Read_recipe``: number, verb_noun, name."""
    named = {}
    for place, line in files.lines("classes"):
        fields = [part.strip() for part in line.split(",")]
        number = whole(fields[0])
        if len(fields) != 3 or number is None or number in named or not fields[2]:
            files.reject(place, line, "expected number, verb_noun, name, with each number once")
        else:
            named[number] = fields[2]
    return tuple(named.get(number, str(number)) for number in range(NUM_CLASSES))


def _split(number: int) -> DataSet:
    official = {
        "classes": ("action_idx.txt", "action_annotation/action_idx.txt"),
        "train": (f"train_split{number}.txt", f"action_annotation/train_split{number}.txt"),
        "val": (f"test_split{number}.txt", f"action_annotation/test_split{number}.txt"),
    }
    rulstm = {
        "classes": ("actions.csv",),
        "train": (f"training{number}.csv",),
        "val": (f"validation{number}.csv",),
    }
    return DataSet(
        name=f"egtea-split{number}",
        title=f"EGTEA Gaze+, split {number}",
        licence="research only",
        source="cbs.ic.gatech.edu/fpv: cropped clips or whole videos, and action_annotation.zip",
        forms=(
            AnnotationForm("train_split and test_split", official, read_official),
            AnnotationForm("RULSTM's csv, parts of whole videos", rulstm, read_rulstm),
        ),
        layouts=(
            "cropped_clips/{video}/{name}",
            "cropped_clips/{name}",
            "videos/{name}",
            "frames/{name}",
            "{video}/{name}",
            "{name}",
        ),
        frame_rate=lambda _: 30.0,
        notes=("folders of frames are taken to have 30 a second, as RULSTM extracts them",),
    )


EGTEA = tuple(_split(number) for number in (1, 2, 3))
