"""Something-Something V2 (arXiv 1706.04261): 220,847 clips of 174 classes, 12 frames a second.

The official json files name classes by a template, ``Holding [something]``; without its brackets
that is a key of the file of labels, which numbers them alphabetically. TSM and UniFormer publish
lists ``id num_frames label`` with the same numbers.

SSv2-LT (LMR, CVPR 2023) takes training clips away until the classes are long-tailed: 50,418 are
left, round(2500 * x ** -7) a class. Its json files keep the names that the loader of Motionformer
knows, so that "trainval" is its validation and "val" its test; here they are val and test.

Mini-SSv2 is the 87 classes on which MIT-IBM's action-recognition-pytorch compares models.

**Deviates**: UniFormer's category.txt is sorted with the brackets still there, so that "[Something]
falling like a rock" is last and 89 of its lines are not at their own number; its lists count
without brackets. Here names are sorted without them, whatever the order of the lines.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.something import FRAMES_A_SECOND, SPLITS, clip_id, list_forms
from marey.data.datasets.subset import subset_form
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import ClassNames
from marey.data.lists.rejects import SourceLine

NUM_CLASSES, NUM_MINI = 174, 87
NUM_LONG_TAIL = 50_418
"""Training clips of SSv2-LT."""


def read_official(files: Annotations) -> Index:
    """The clips of the official json files."""
    names = ClassNames(numbered_names(files, "classes", NUM_CLASSES, first=0))
    clips = files.clips(SPLITS, lambda file: file.objects("id"), partial(_clip, names))
    return Index({"label": names.names}, clips)


def read_long_tail(files: Annotations) -> Index:
    """The clips of SSv2-LT, whose test clips have labels."""
    index = read_official(files)
    num_train = sum(clip.split == "train" for clip in index.clips)
    if num_train != NUM_LONG_TAIL:
        files.notes.append(f"{num_train:,} training clips; SSv2-LT has {NUM_LONG_TAIL:,}")
    return index


def _clip(
    names: ClassNames, split: str, line: SourceLine, entry: dict[str, object]
) -> AnnotatedClip:
    """The clip of one object; those of the official test file have no template."""
    name = clip_id(str(entry["id"]))
    if "template" not in entry and split == "test":
        return AnnotatedClip(line, name, split, {})
    label = names.find(str(entry.get("template", "")))
    return AnnotatedClip(line, name, split, {"label": label})


_LABELS = "something-something-v2-labels.json labels.json"
_JSON = AnnotationForm(
    title="official json",
    files={
        "classes": _LABELS,
        "train": "something-something-v2-train.json train.json",
        "val": "something-something-v2-validation.json validation.json",
        "test": "something-something-v2-test.json test.json",
    },
    read=read_official,
)
_LISTS, _MMACTION = list_forms(2, NUM_CLASSES)

SSV2 = DataSet(
    name="ssv2",
    title="Something-Something V2",
    licence="research only, by agreement with Qualcomm",
    source="www.qualcomm.com/developer/software/something-something-v-2-dataset: the parts of the"
    " videos and the labels, after registration",
    forms=(_JSON, _LISTS, _MMACTION),
    layouts=in_folders(
        "20bn-something-something-v2",
        "20bn-something-something-v2-frames",
        "something-something-v2-videos",
        "videos",
        "rawframes",
        "frames",
        "",
    ),
    frame_rate=lambda _: FRAMES_A_SECOND,
)
SSV2_LT = replace(
    SSV2,
    name="ssv2-lt",
    title="Something-Something V2, long-tailed (SSv2-LT)",
    source="the splits: github.com/tobyperrett/lmr-release, section LT-Dataset splits; the videos"
    f" and labels: {SSV2.source}",
    forms=(
        AnnotationForm(
            title="json of lmr-release: trainval is val, val is test",
            files={
                "classes": _LABELS,
                "train": "something-something-v2-train.json train.json",
                "val": "something-something-v2-trainval.json trainval.json",
                "test": "something-something-v2-val.json val.json",
            },
            read=read_long_tail,
            needs=("classes", "train", "test"),
        ),
    ),
)
MINI_SSV2 = replace(
    SSV2,
    name="mini-ssv2",
    title="Mini-Something-Something V2, 87 classes",
    source="the classes: mini_ssv2.txt of github.com/IBM/action-recognition-pytorch; all else:"
    f" {SSV2.source}",
    forms=tuple(subset_form(form, "mini_ssv2.txt", NUM_MINI) for form in (_JSON, _LISTS)),
)
