"""Jester V1 (ICCV workshops 2019): 148,092 clips of 27 gestures as frames, 12 a second.

The official csv files are lines ``id;label``; copies with commas are about, one of whose training
lists ends in a spreadsheet's ``Err:522,``. The order of classes is that of the file of labels.
Three pairs of classes trade places when a clip is mirrored: swiping and sliding two fingers left
and right, turning the hand clockwise and counterclockwise. GC and TDN mirror them as they are.
"""

from __future__ import annotations

from marey.data.datasets.dataset import AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.something import FRAMES_A_SECOND, class_names, read_csv, read_lists
from marey.data.lists.annotations import Annotations

NUM_CLASSES = 27


def read_official(files: Annotations) -> Index:
    """The clips of the official csv files."""
    return read_csv(files, class_names(files, NUM_CLASSES))


def read_numbered(files: Annotations) -> Index:
    """The clips of lists whose labels count the lines of the file of classes."""
    names = class_names(files, NUM_CLASSES)
    return read_lists(files, names)


JESTER = DataSet(
    name="jester",
    title="Jester V1",
    licence="research only, by agreement with Qualcomm",
    source="www.qualcomm.com/developer/software/jester-dataset: the parts of the frames and the"
    " labels, after registration",
    forms=(
        AnnotationForm(
            title="official csv `id;label`",
            files={
                "classes": "jester-v1-labels.csv",
                "train": "jester-v1-train.csv",
                "val": "jester-v1-validation.csv",
                "test": "jester-v1-test.csv",
            },
            read=read_official,
        ),
        AnnotationForm(
            title="lists `id num_frames label`",
            files={
                "classes": "category.txt label_map.txt",
                "train": "train_videofolder.txt jester_train_list_rawframes.txt",
                "val": "val_videofolder.txt jester_val_list_rawframes.txt",
            },
            read=read_numbered,
        ),
    ),
    layouts=in_folders("20bn-jester-v1", "rawframes", "frames", ""),
    frame_rate=lambda _: FRAMES_A_SECOND,
    published={"train": 118_562, "val": 14_787, "test": 14_743},
)
