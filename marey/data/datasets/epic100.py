"""EPIC-KITCHENS-100 (arXiv 2006.13256): 67,217 + 9,668 parts of videos, 97 verbs and 300 nouns.

The official csv files give times, verbs and nouns, from 0. Their start_frame is not used: of four
parts in ten it differs by one from round(time x rate), and the frames that are handed out have 60 a
second, or 50 where the video's number has three digits (`marey.data.lists.epic`), whatever the
video's own rate. RULSTM's lists, in frames of 30 a second, have the same labels and times that are
up to 1/30 second early.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.datasets.list_clips import clip_of_row
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_files import numbered_names
from marey.data.lists.epic import frames_a_second, participant
from marey.data.lists.listing import ListRow
from marey.data.lists.plain_lists import RULSTM, plain_rows
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import whole
from marey.data.lists.times import seconds
from marey.data.manifest.classes import unnamed

NUM_CLASSES = {"verb": 97, "noun": 300}
SPLITS = ("train", "val", "test")
_COLUMNS = ("narration_id", "video_id", "start_timestamp", "stop_timestamp")


def read_official(files: Annotations) -> Index:
    """The parts of the official csv files; those of the test file have no labels."""
    classes, clips = _classes(files), list[AnnotatedClip]()
    for split, file in files.lists(SPLITS):
        heads = () if split == "test" else tuple(NUM_CLASSES)
        rows = file.table((*_COLUMNS, *(f"{head}_class" for head in heads)))
        clips += files.faults.fitting(rows, partial(_official_clip, split, heads))
    return Index(classes, clips)


def read_rulstm(files: Annotations) -> Index:
    """The parts of RULSTM's lists."""
    classes = _classes(files)
    rows = partial(plain_rows, form=RULSTM)
    return Index(classes, files.clips(("train", "val"), rows, _clip))


def _official_clip(
    split: str, heads: Sequence[str], line: SourceLine, cells: Mapping[str, str]
) -> AnnotatedClip:
    times = [cells["start_timestamp"], cells["stop_timestamp"]]
    start, end = map(seconds, times)
    labels = {head: cells[f"{head}_class"] for head in heads}
    if start is None or end is None:
        raise Misfit("expected times like 00:01:09.98", value=", ".join(times))
    if not cells["narration_id"].strip():
        raise Misfit("no narration_id", value=cells["video_id"])
    if None in map(whole, labels.values()):
        raise Misfit("classes are whole numbers from 0", value=", ".join(labels.values()))
    row = ListRow(line, cells["video_id"], labels, start, end, id=cells["narration_id"])
    return _clip(split, line, row)


def _clip(split: str, _: SourceLine, row: ListRow) -> AnnotatedClip:
    person = participant(row.path)
    if person is None:
        raise Misfit("expected a video like P01_01 or P01_101", value=row.path)
    labels = {head: int(row.labels[head]) for head in NUM_CLASSES if head in row.labels}
    fields = {"participant": person}
    return clip_of_row(row, split, labels, name=row.path, group=row.path, fields=fields)


def _classes(files: Annotations) -> dict[str, tuple[str, ...]]:
    """The names of both heads, which are numbers if there is no file of them."""
    classes = {}
    for head, count in NUM_CLASSES.items():
        role = f"{head}s"
        if role in files:
            classes[head] = tuple(numbered_names(files, role, count, first=0))
        else:
            files.notes.append(f"no names of {role}: they are numbers")
            classes[head] = unnamed(count)
    return classes


_CLASSES = {"verbs": "EPIC_100_verb_classes.csv", "nouns": "EPIC_100_noun_classes.csv"}

EPIC100 = DataSet(
    name="epic100",
    title="EPIC-KITCHENS-100",
    licence="CC BY-NC 4.0",
    source="epic-kitchens.github.io: videos or rgb frames by its download scripts, and the csv"
    " files of epic-kitchens-100-annotations",
    forms=(
        AnnotationForm(
            title="official csv",
            files={
                **_CLASSES,
                "train": "EPIC_100_train.csv",
                "val": "EPIC_100_validation.csv",
                "test": "EPIC_100_test_timestamps.csv",
            },
            read=read_official,
            needs=tuple(_CLASSES),
            class_roles=tuple(_CLASSES),
        ),
        AnnotationForm(
            title="RULSTM's csv",
            files={**_CLASSES, "train": "training.csv", "val": "validation.csv"},
            read=read_rulstm,
            needs=(),
            class_roles=tuple(_CLASSES),
        ),
    ),
    layouts=in_folders(
        "{participant}",
        "{participant}/rgb_frames",
        "{participant}/videos",
        "EPIC-KITCHENS/{participant}/rgb_frames",
        "EPIC-KITCHENS/{participant}/videos",
        "videos",
        "",
    ),
    frame_rate=lambda video: float(frames_a_second(video)),
    notes=("18 of the 97 verbs have 20 training clips or fewer, and the rarest has 1",),
    published={"train": 67_217, "val": 9_668, "test": 13_092},
)
