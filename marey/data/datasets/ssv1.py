"""Something-Something V1 (arXiv 1706.04261): 108,499 clips of 174 classes as frames, 12 a second.

The official csv files are lines ``id;label``. TSM, GC and UniFormer number the classes
alphabetically, and so does the manifest: exchanging classes 86 and 87, 93 and 94, 166 and 167 of a
mirrored clip holds in this order. bLVNet and mmaction2 number them by the lines of the official
file of labels, so the class numbers of their checkpoints are others.
"""

from __future__ import annotations

from functools import partial

from marey.data.datasets.dataset import AnnotationForm, DataSet, Index
from marey.data.datasets.something import (
    FRAMES_A_SECOND,
    class_names,
    read_alphabetical,
    read_as_mapped,
    read_csv,
)
from marey.data.lists.annotations import Annotations

NUM_CLASSES = 174


def read_official(files: Annotations) -> Index:
    """The clips of the official csv files."""
    return read_csv(files, sorted(class_names(files, NUM_CLASSES)))


SSV1 = DataSet(
    name="ssv1",
    title="Something-Something V1",
    licence="research only, by agreement with its owner",
    source="no longer handed out by its owner (20bn.com); whoever has the archives 20bn-something-"
    "something-v1-?? unpacks them, labels are beside them",
    forms=(
        AnnotationForm(
            title="official csv `id;label`",
            files={
                "classes": ("something-something-v1-labels.csv",),
                "train": ("something-something-v1-train.csv",),
                "val": ("something-something-v1-validation.csv",),
                "test": ("something-something-v1-test.csv",),
            },
            read=read_official,
        ),
        AnnotationForm(
            title="lists `id num_frames label`",
            files={
                "classes": ("category.txt",),
                "train": ("somesomev1_rgb_train_split.txt", "train_videofolder.txt"),
                "val": ("somesomev1_rgb_validation_split.txt", "val_videofolder.txt"),
                "test": ("somesomev1_rgb_test_split.txt", "test_videofolder.txt"),
            },
            read=partial(read_alphabetical, num_classes=NUM_CLASSES),
        ),
        AnnotationForm(
            title="lists of mmaction2",
            files={
                "classes": ("label_map.txt",),
                "train": ("sthv1_train_list_rawframes.txt", "sthv1_train_list_videos.txt"),
                "val": ("sthv1_val_list_rawframes.txt", "sthv1_val_list_videos.txt"),
            },
            read=partial(read_as_mapped, num_classes=NUM_CLASSES),
        ),
    ),
    layouts=(
        "20bn-something-something-v1/{name}",
        "rawframes/{name}",
        "frames/{name}",
        "img/{name}",
        "{name}",
    ),
    frame_rate=lambda _: FRAMES_A_SECOND,
    notes=("classes are in alphabetical order, not in that of the official file",),
)
