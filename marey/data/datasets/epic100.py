"""EPIC-KITCHENS-100 (arXiv 2006.13256): 67,217 + 9,668 parts of videos, 97 verbs and 300 nouns.

The official csv files give times, verbs and nouns, from 0. Their start_frame is not used: of four
parts in ten it differs by one from round(time x rate), and the frames that are handed out have 60 a
second, or 50 where the video's number has three digits (`marey.data.lists.epic`), whatever the
video's own rate. RULSTM's lists, in frames of 30 a second, have the same labels and times that are
up to 1/30 second early.
"""

from __future__ import annotations

import re

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index
from marey.data.lists.annotation_files import Annotations, SourceLine, whole
from marey.data.lists.class_names import expect_count
from marey.data.lists.epic import frames_a_second
from marey.data.lists.rulstm import segments
from marey.errors import ManifestError

NUM_VERBS, NUM_NOUNS = 97, 300
SPLITS = ("train", "val", "test")
_VIDEO = re.compile(r"(P\d\d)_\d{2,3}", re.ASCII)
_TIME = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", re.ASCII)
_COLUMNS = ("narration_id", "video_id", "start_timestamp", "stop_timestamp")


def read_official(files: Annotations) -> Index:
    """The parts of the official csv files; those of the test file have no labels."""
    classes = {"verb": _names(files, "verbs", NUM_VERBS), "noun": _names(files, "nouns", NUM_NOUNS)}
    clips = []
    for split in SPLITS:
        heads = () if split == "test" else ("verb", "noun")
        columns = (*_COLUMNS, *(f"{head}_class" for head in heads))
        for place, row in files.table(split, columns) if split in files else ():
            start, end = seconds(row["start_timestamp"]), seconds(row["stop_timestamp"])
            labels = {head: whole(row[f"{head}_class"]) for head in heads}
            known = {head: label for head, label in labels.items() if label is not None}
            if start is None or end is None:
                said = f"{row['start_timestamp']}, {row['stop_timestamp']}"
                files.reject(place, said, "expected times like 00:01:09.98")
            elif not row["narration_id"].strip():
                files.reject(place, row["video_id"], "no narration_id")
            elif len(known) < len(heads):
                said = ", ".join(row[f"{head}_class"] for head in heads)
                files.reject(place, said, "classes are whole numbers from 0")
            else:
                clips += _clips(
                    files, place, row["narration_id"], row["video_id"], split, known, start, end
                )
    return Index(classes, clips)


def read_rulstm(files: Annotations) -> Index:
    """The parts of RULSTM's lists."""
    classes = {"verb": _names(files, "verbs", NUM_VERBS), "noun": _names(files, "nouns", NUM_NOUNS)}
    clips = []
    for split in ("train", "val"):
        for found in segments(files, split) if split in files else ():
            labels = {"verb": found.verb, "noun": found.noun}
            clips += _clips(
                files, found.place, found.uid, found.video, split, labels, found.start, found.end
            )
    return Index(classes, clips)


def seconds(text: str) -> float | None:
    """A time like 00:01:09.98 in seconds; None for all else.

    >>> seconds("01:00:02.629"), seconds("2.5")
    (3602.629, None)
    """
    found = _TIME.fullmatch(text.strip())
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def _clips(
    files: Annotations,
    place: SourceLine,
    name: str,
    video: str,
    split: str,
    labels: dict[str, int],
    start: float,
    end: float,
) -> list[AnnotatedClip]:
    """The one clip; none, and a reject, if its video has no name of this data set."""
    named = _VIDEO.fullmatch(video)
    if named is None:
        files.reject(place, video, "expected a video like P01_01 or P01_101")
        return []
    fields = {"participant": named[1]}
    return [
        AnnotatedClip(place, video, split, labels, start, end, group=video, id=name, fields=fields)
    ]


def _names(files: Annotations, role: str, count: int) -> tuple[str, ...]:
    """The keys of a file of classes by their ids; numbers if there is no such file."""
    if role not in files:
        files.notes.append(f"no names of {role}: they are numbers")
        return tuple(map(str, range(count)))
    named: dict[int | None, str] = {}
    for place, row in files.table(role, ("id", "key")):
        if whole(row["id"]) is None or whole(row["id"]) in named:
            files.reject(place, row["id"], "expected a whole number, each once")
        else:
            named[whole(row["id"])] = row["key"]
    expect_count(files[role], list(named.values()), count)
    if named.keys() != set(range(count)):
        raise ManifestError(f"{files[role]}: expected the ids 0 to {count - 1}, each once")
    return tuple(named[number] for number in range(count))


_CLASSES = {"verbs": ("EPIC_100_verb_classes.csv",), "nouns": ("EPIC_100_noun_classes.csv",)}

EPIC100 = DataSet(
    name="epic100",
    title="EPIC-KITCHENS-100",
    licence="CC BY-NC 4.0",
    source="epic-kitchens.github.io: videos or rgb frames by its download scripts, and the csv"
    " files of epic-kitchens-100-annotations",
    forms=(
        AnnotationForm(
            "official csv",
            {
                **_CLASSES,
                "train": ("EPIC_100_train.csv",),
                "val": ("EPIC_100_validation.csv",),
                "test": ("EPIC_100_test_timestamps.csv",),
            },
            read_official,
            needs=("verbs", "nouns"),
        ),
        AnnotationForm(
            "RULSTM's csv",
            {**_CLASSES, "train": ("training.csv",), "val": ("validation.csv",)},
            read_rulstm,
            needs=(),
        ),
    ),
    layouts=(
        "{participant}/{name}",
        "{participant}/rgb_frames/{name}",
        "{participant}/videos/{name}",
        "EPIC-KITCHENS/{participant}/rgb_frames/{name}",
        "EPIC-KITCHENS/{participant}/videos/{name}",
        "videos/{name}",
        "{name}",
    ),
    frame_rate=lambda video: float(frames_a_second(video)),
    notes=("18 of the 97 verbs have 20 training clips or fewer, and the rarest has 1",),
)
