"""Something-Something V1 (arXiv 1706.04261): 108,499 clips of 174 classes as frames, 12 a second.

The official csv files are lines ``id;label``. TSM, GC and UniFormer number the classes
alphabetically, and so does the manifest: exchanging classes 86 and 87, 93 and 94, 166 and 167 of a
mirrored clip holds in this order. bLVNet and mmaction2 number them by the lines of the official
file of labels, so the class numbers of their checkpoints are others.
"""

from __future__ import annotations

from marey.data.datasets.dataset import AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.something import FRAMES_A_SECOND, class_names, list_forms, read_csv
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
                "classes": "something-something-v1-labels.csv",
                "train": "something-something-v1-train.csv",
                "val": "something-something-v1-validation.csv",
                "test": "something-something-v1-test.csv",
            },
            read=read_official,
        ),
        *list_forms(1, NUM_CLASSES),
    ),
    layouts=in_folders("20bn-something-something-v1", "rawframes", "frames", "img", ""),
    frame_rate=lambda _: FRAMES_A_SECOND,
    notes=("classes are in alphabetical order, not in that of the official file",),
    published={"train": 86_017, "val": 11_522, "test": 10_960},
)
