"""A cell that says what happens when: ``Sitting[0 to 2.5; 4 to 6]; Walking[2.6 to 4]``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from marey.data.lists.rejects import Misfit
from marey.data.lists.times import seconds

_PART = re.compile(r"([^;:\[\]]+)\[([^\[\]]*)\]")
_BETWEEN = re.compile(r"[\s;:]*")


class LabelledTime(NamedTuple):
    """One class from `start` to `end`, in seconds."""

    label: str
    start: float
    end: float


def labelled_times(cell: str) -> Iterator[LabelledTime | Misfit]:
    """What a cell says, in its order, and a `Misfit` for each piece of it that says nothing.

    >>> list(labelled_times("Sitting[0 to 2.5; 4 to 6]"))[1]
    LabelledTime(label='Sitting', start=4.0, end=6.0)
    """
    at = 0
    for match in _PART.finditer(cell):
        yield from _without_times(cell[at : match.start()])
        label = match[1].strip()
        for piece in match[2].split(";"):
            yield _time(label, piece)
        at = match.end()
    yield from _without_times(cell[at:])


def _time(label: str, text: str) -> LabelledTime | Misfit:
    first, to, last = text.partition(" to ")
    start, end = seconds(first), seconds(last)
    shown = f"{label}[{text.strip()}]"
    if not to or start is None or end is None:
        return Misfit("no time from a start to an end", "write it as 'Name[1.5 to 3]'", value=shown)
    if end <= start:
        return Misfit("the end is not after the start", "which of them is wrong?", value=shown)
    return LabelledTime(label, start, end)


def _without_times(text: str) -> Iterator[Misfit]:
    """A `Misfit` for what stands between two parts, if it is more than what divides them."""
    if not _BETWEEN.fullmatch(text):
        yield Misfit("no time in brackets", "write it as 'Name[1.5 to 3]'", value=text.strip())
