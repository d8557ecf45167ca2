"""EGTEA Gaze+ (Li et al., ECCV 2018): 10,321 clips of 106 actions, cooking seen by the cook.

The authors hand out one file a clip and lists ``name action verb noun...``, numbered from 1. RULSTM
publishes csv files without a header, ``number,video,start,stop,verb,noun,action``: parts of the
whole videos, in frames of 30 a second rounded down, numbered from 0 (the videos have 24). The test
lists are split `val`, as in Group Contextualization's rows; parts of one video lie in both.
"""

from __future__ import annotations

from functools import partial

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.list_clips import clip_of_row
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.listing import ListRow, video_name
from marey.data.lists.plain_lists import RULSTM, plain_rows
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile, whole

NUM_CLASSES = 106
SPLITS = ("train", "val")
_PUBLISHED = {1: (8_299, 2_022), 2: (8_299, 2_022), 3: (8_300, 2_021)}


def read_official(files: Annotations) -> Index:
    """The clips of train_split and test_split: a file each."""
    names = numbered_names(files, "classes", NUM_CLASSES)
    return Index({"label": tuple(names)}, files.clips(SPLITS, TextFile.lines, _official_clip))


def read_rulstm(files: Annotations) -> Index:
    """The parts of whole videos that RULSTM's csv files name."""
    names = _rulstm_names(files)
    clips = files.clips(SPLITS, partial(plain_rows, form=RULSTM), _rulstm_clip)
    return Index({"label": names}, clips)


def _official_clip(split: str, line: SourceLine, text: str) -> AnnotatedClip:
    path, *numbers = text.split()
    action = whole(numbers[0]) if numbers else None
    if not action:
        raise Misfit("expected a clip and its action, from 1")
    name, labels = video_name(path), {"label": action - 1}
    video = "-".join(name.split("-")[:3])  # person, round, recipe; then times
    return AnnotatedClip(line, name, split, labels, group=video, fields={"video": video})


def _rulstm_clip(split: str, _: SourceLine, row: ListRow) -> AnnotatedClip:
    labels, video = {"label": int(row.labels["action"])}, row.path
    return clip_of_row(row, split, labels, name=video, group=video, fields={"video": video})


def _rulstm_names(files: Annotations) -> tuple[str, ...]:
    """The actions of actions.csv, ``0, 0_0, Inspect/Read_recipe``: number, verb_noun, name."""
    names: dict[int, str] = {}
    for line, text in files.open("classes").lines():
        cells = [part.strip() for part in text.split(",")]
        number = whole(cells[0])
        if len(cells) != 3 or number is None or number in names or not cells[2]:
            files.reject(line, text, "expected number, verb_noun, name, with each number once")
        else:
            names[number] = cells[2]
    return tuple(names.get(number, str(number)) for number in range(NUM_CLASSES))


def _split(number: int) -> DataSet:
    official = {
        "classes": "action_idx.txt action_annotation/action_idx.txt",
        "train": f"train_split{number}.txt action_annotation/train_split{number}.txt",
        "val": f"test_split{number}.txt action_annotation/test_split{number}.txt",
    }
    rulstm = {
        "classes": "actions.csv",
        "train": f"training{number}.csv",
        "val": f"validation{number}.csv",
    }
    return DataSet(
        name=f"egtea-split{number}",
        title=f"EGTEA Gaze+, split {number}",
        licence="research only",
        source="cbs.ic.gatech.edu/fpv: cropped clips or whole videos, and action_annotation.zip",
        forms=(
            AnnotationForm(title="train_split and test_split", files=official, read=read_official),
            AnnotationForm(
                title="RULSTM's csv, parts of whole videos", files=rulstm, read=read_rulstm
            ),
        ),
        layouts=in_folders(
            "cropped_clips/{video}", "cropped_clips", "videos", "frames", "{video}", ""
        ),
        frame_rate=lambda _: 30.0,
        notes=("folders of frames are taken to have 30 a second, as RULSTM extracts them",),
        published=dict(zip(SPLITS, _PUBLISHED[number], strict=True)),
    )


EGTEA = tuple(_split(number) for number in (1, 2, 3))
