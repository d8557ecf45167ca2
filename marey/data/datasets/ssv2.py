"""Something-Something V2 (arXiv 1706.04261): 220,847 clips of 174 classes, 12 frames a second.

The official json files name classes by a template, ``Holding [something]``; without its brackets
that is a key of the file of labels, which numbers them alphabetically. TSM and UniFormer publish
lists ``id num_frames label`` with the same numbers.

SSv2-LT (LMR, CVPR 2023) takes training clips away until the classes are long-tailed: 50,418 are
left, round(2500 * x ** -7) a class. Its json files keep the names that the loader of Motionformer
knows, so that "trainval" is its validation and "val", or "validation", its test; here they are val
and test (`marey.data.datasets.long_tail_files`).

The labels of test clips, which their json has not, are in a csv of their own, lines ``id;label``.
Motionformer's frame lists (`marey.data.datasets.frame_lists`) say where the frames of a clip lie.

Mini-SSv2 is the 87 classes on which MIT-IBM's action-recognition-pytorch compares models.

**Deviates**: UniFormer's category.txt is sorted with the brackets still there, so that "[Something]
falling like a rock" is last and 89 of its lines are not at their own number; its lists count
without brackets. Here names are sorted without them, whatever the order of the lines.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.frame_lists import FRAME_LISTS, in_frame_lists
from marey.data.datasets.long_tail_files import Whole, json_names, long_tail_files
from marey.data.datasets.something import (
    FRAMES_A_SECOND,
    SPLITS,
    clip_id,
    csv_clip,
    list_forms,
)
from marey.data.datasets.subset import subset_form
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.class_names import ClassNames
from marey.data.lists.rejects import SourceLine
from marey.errors import ManifestError, counted

NUM_CLASSES, NUM_MINI = 174, 87
NUM_LONG_TAIL = 50_418
"""Training clips of SSv2-LT."""
WHOLE = Whole("Something-Something V2", "ssv2", {"train": 168_913, "val": 24_777})


def read_official(files: Annotations) -> Index:
    """The clips of the official json files, those to test on with labels if these are there."""
    names = ClassNames(numbered_names(files, "classes", NUM_CLASSES, first=0))
    clips = files.clips(SPLITS, lambda file: file.objects("id"), partial(_clip, names))
    if sum(clip.split == "train" for clip in clips) == NUM_LONG_TAIL:
        raise ManifestError(
            f"{files['train']} has {NUM_LONG_TAIL:,} clips: it is that of SSv2-LT, which is called"
            f" so too; Something-Something V2 has {WHOLE.counts['train']:,}",
            "`marey data prepare ssv2-lt` reads it",
        )
    return Index({"label": names.names}, in_frame_lists(files, _answered(files, names, clips)))


def read_long_tail(files: Annotations) -> Index:
    """The clips of SSv2-LT, whose test clips have labels."""
    names = ClassNames(numbered_names(files, "classes", NUM_CLASSES, first=0))
    clips = list[AnnotatedClip]()
    for split, role in long_tail_files(files, WHOLE).items():
        entries = files.open(role).objects("id", "template")
        clips += files.faults.fitting(entries, partial(_clip, names, split))
    return Index({"label": names.names}, in_frame_lists(files, clips))


def _answered(
    files: Annotations, names: ClassNames, clips: list[AnnotatedClip]
) -> list[AnnotatedClip]:
    """The clips, those of the test set with the labels of the file of answers if it is there."""
    if "answers" not in files:
        return clips
    lines = files.open("answers").lines()
    answers = {
        clip.name: clip for clip in files.faults.fitting(lines, partial(csv_clip, names, "test"))
    }
    if "test" not in files:
        return [*clips, *answers.values()]
    known = {clip.name for clip in clips if clip.split == "test"}
    if strangers := answers.keys() - known:
        files.notes.append(
            f"{counted(len(strangers), 'answer')} of no clip of {files['test'].name}, left out"
        )
    return [
        clip._replace(labels=answers[clip.name].labels)
        if clip.split == "test" and clip.name in answers
        else clip
        for clip in clips
    ]


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
        "answers": "something-something-v2-test-answers.csv test-answers.csv test_answers.csv",
        **FRAME_LISTS,
    },
    read=read_official,
    optional=("answers", *FRAME_LISTS),
)
_LISTS, _MMACTION = list_forms(2, NUM_CLASSES)

SSV2 = DataSet(
    name="ssv2",
    title="Something-Something V2",
    licence="research only, by agreement with Qualcomm",
    source="www.qualcomm.com/developer/software/something-something-v-2-dataset: the parts of the"
    " videos and the labels, after registration",
    forms=(_JSON, _LISTS, _MMACTION),
    layouts=(
        *in_folders("20bn-something-something-v2", "20bn-something-something-v2-frames"),
        *in_folders("something-something-v2-videos", "videos", "rawframes", "frames", ""),
        "{frames}",
    ),
    frame_rate=lambda _: FRAMES_A_SECOND,
    published={"train": 168_913, "val": 24_777, "test": 27_157},
)
SSV2_LT = replace(
    SSV2,
    name="ssv2-lt",
    title="Something-Something V2, long-tailed (SSv2-LT)",
    source="the splits: github.com/tobyperrett/lmr-release, section LT-Dataset splits; the videos"
    f" and labels: {SSV2.source}",
    forms=(
        AnnotationForm(
            title="json of lmr-release",
            files={"classes": _LABELS, **json_names("something-something-v2-"), **FRAME_LISTS},
            read=read_long_tail,
            needs=("classes", "train"),
            optional=("trainval", "val", "validation", "test", *FRAME_LISTS),
        ),
    ),
    published={"train": NUM_LONG_TAIL},
)
MINI_SSV2 = replace(
    SSV2,
    name="mini-ssv2",
    title="Mini-Something-Something V2, 87 classes",
    source="the classes: mini_ssv2.txt of github.com/IBM/action-recognition-pytorch; all else:"
    f" {SSV2.source}",
    forms=tuple(subset_form(form, "mini_ssv2.txt", NUM_MINI) for form in (_JSON, _LISTS)),
    published={},
)
