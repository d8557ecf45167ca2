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

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index
from marey.data.datasets.something import (
    FRAMES_A_SECOND,
    SPLITS,
    clip_id,
    read_alphabetical,
    read_as_mapped,
    restricted,
)
from marey.data.lists.annotation_files import Annotations, whole
from marey.data.lists.class_names import ClassNames, expect_count
from marey.errors import ManifestError

NUM_CLASSES, NUM_MINI = 174, 87
NUM_LONG_TAIL = 50_418
"""Training clips of SSv2-LT."""


def read_official(files: Annotations) -> Index:
    """The clips of the official json files."""
    names = official_names(files)
    clips: list[AnnotatedClip] = []
    for split in SPLITS:
        if split in files:
            clips += _json_clips(files, split, names)
    return Index({"label": names.names}, clips)


def read_long_tail(files: Annotations) -> Index:
    """The clips of SSv2-LT, whose test clips have labels."""
    index = read_official(files)
    num_train = sum(clip.split == "train" for clip in index.clips)
    if num_train != NUM_LONG_TAIL:
        files.notes.append(f"{num_train:,} training clips; SSv2-LT has {NUM_LONG_TAIL:,}")
    return index


def read_mini(files: Annotations) -> Index:
    """The clips of the official json files whose class is in mini_ssv2.txt."""
    return restricted(read_official(files), files, "mini", NUM_MINI)


def read_mini_lists(files: Annotations) -> Index:
    """The clips of lists whose class is in mini_ssv2.txt."""
    return restricted(read_alphabetical(files, NUM_CLASSES), files, "mini", NUM_MINI)


def official_names(files: Annotations) -> ClassNames:
    """The classes of something-something-v2-labels.json, by number."""
    path, numbers = files["classes"], files.mapping("classes")
    by_number = {whole(str(number)): name for name, number in numbers.items()}
    expect_count(path, list(numbers), NUM_CLASSES)
    if set(by_number) != set(range(NUM_CLASSES)):
        raise ManifestError(
            f"{path}: expected the numbers 0 to {NUM_CLASSES - 1}, each once",
            "download the labels again",
        )
    return ClassNames([by_number[number] for number in range(NUM_CLASSES)])


def _json_clips(files: Annotations, split: str, names: ClassNames) -> list[AnnotatedClip]:
    """The clips of one json file; those of the official test file have no template."""
    clips = []
    for place, entry in files.objects(split, ("id",)):
        name = clip_id(files, place, str(entry["id"]))
        if name is None:
            continue
        if "template" in entry or split != "test":
            label = names.known(files, place, str(entry.get("template", "")))
            if label is not None:
                clips.append(AnnotatedClip(place, name, split, {"label": label}))
        else:
            clips.append(AnnotatedClip(place, name, split, {}))
    return clips


_LABELS = ("something-something-v2-labels.json", "labels.json")
_JSON = AnnotationForm(
    "official json",
    {
        "classes": _LABELS,
        "train": ("something-something-v2-train.json", "train.json"),
        "val": ("something-something-v2-validation.json", "validation.json"),
        "test": ("something-something-v2-test.json", "test.json"),
    },
    read_official,
)
_LISTS = AnnotationForm(
    "lists `id num_frames label`",
    {
        "classes": ("category.txt",),
        "train": ("somesomev2_rgb_train_split.txt", "train_videofolder.txt"),
        "val": ("somesomev2_rgb_validation_split.txt", "val_videofolder.txt"),
        "test": ("somesomev2_rgb_test_split.txt", "test_videofolder.txt"),
    },
    partial(read_alphabetical, num_classes=NUM_CLASSES),
)
_MMACTION = AnnotationForm(
    "lists of mmaction2",
    {
        "classes": ("label_map.txt",),
        "train": ("sthv2_train_list_rawframes.txt", "sthv2_train_list_videos.txt"),
        "val": ("sthv2_val_list_rawframes.txt", "sthv2_val_list_videos.txt"),
    },
    partial(read_as_mapped, num_classes=NUM_CLASSES),
)
_MINI = {"mini": ("mini_ssv2.txt",)}

SSV2 = DataSet(
    name="ssv2",
    title="Something-Something V2",
    licence="research only, by agreement with Qualcomm",
    source="www.qualcomm.com/developer/software/something-something-v-2-dataset: the parts of the"
    " videos and the labels, after registration",
    forms=(_JSON, _LISTS, _MMACTION),
    layouts=(
        "20bn-something-something-v2/{name}",
        "20bn-something-something-v2-frames/{name}",
        "something-something-v2-videos/{name}",
        "videos/{name}",
        "rawframes/{name}",
        "frames/{name}",
        "{name}",
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
            "json of lmr-release: trainval is val, val is test",
            {
                "classes": _LABELS,
                **{
                    split: (f"something-something-v2-{word}.json", f"{word}.json")
                    for split, word in (("train", "train"), ("val", "trainval"), ("test", "val"))
                },
            },
            read_long_tail,
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
    forms=(
        replace(_JSON, files={**_JSON.files, **_MINI}, read=read_mini, needs=("classes", "mini")),
        replace(
            _LISTS, files={**_LISTS.files, **_MINI}, read=read_mini_lists, needs=("classes", "mini")
        ),
    ),
)
