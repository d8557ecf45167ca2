"""Lists of RULSTM (arXiv 2005.02190): csv without a header, in frames of 30 a second.

A line is ``uid,video,start,stop,verb,noun,action``. The frames are the times of the original
annotations x 30, rounded down, and at least 1; over EPIC-KITCHENS-100's validation list each lies
0 to 1 frame before its time. Here they become seconds again, so up to 1/30 second early.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from marey.data.lists.annotation_files import Annotations, SourceLine, whole
from marey.data.lists.lists import RULSTM_FPS

_COLUMNS = "uid,video,start,stop,verb,noun,action"


class Segment(NamedTuple):
    """A part of a video in seconds, with classes from 0."""

    place: SourceLine
    uid: str
    video: str
    start: float
    end: float
    verb: int
    noun: int
    action: int


def segments(files: Annotations, role: str) -> Iterator[Segment]:
    """The parts of a list; lines that do not fit are rejected."""
    for place, line in files.lines(role):
        uid, *fields = [field.strip() for field in line.split(",")]
        numbers = [whole(field) for field in fields[1:]]
        known = [number for number in numbers if number is not None]
        if len(fields) != 6 or len(known) != 5 or not uid or not fields[0]:
            files.reject(place, line, f"expected {_COLUMNS}", "numbers are whole")
        else:
            start, end = (number / RULSTM_FPS for number in known[:2])
            yield Segment(place, uid, fields[0], start, end, *known[2:])
