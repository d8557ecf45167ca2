"""A cell that says what happens when: ``Sitting[0 to 2.5; 4 to 6]; Walking[2.6-4]``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from marey.data.lists.rejects import Misfit
from marey.data.lists.times import seconds

_PART = re.compile(r"([^;:\[\]]+)\[([^\[\]]*)\]")
_TIMES = re.compile(r"\s*([^\s|–-]+)\s*(?:\bto\b|[|–-])\s*([^\s|–-]+)\s*")
_PAIR = re.compile(r"\s*[\[(]\s*([^\s,]+)\s*,\s*([^\s,]+)\s*[\])]\s*")
"""As lists are written; JSON's are told from their values, `0.5|3.5`."""
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


def bare_times(cell: str) -> Iterator[LabelledTime | Misfit]:
    """The same of a cell without classes, whose label is "".

    >>> list(bare_times("0-2.5; 4 to 6"))[0]
    LabelledTime(label='', start=0.0, end=2.5)
    >>> list(bare_times("[0.5, 3.5]"))
    [LabelledTime(label='', start=0.5, end=3.5)]
    """
    for piece in filter(str.strip, cell.split(";")):
        yield _time("", piece)


def _time(label: str, text: str) -> LabelledTime | Misfit:
    match = _TIMES.fullmatch(text) or _PAIR.fullmatch(text)
    start, end = (seconds(each) for each in match.groups()) if match else (None, None)
    shown = f"{label}[{text.strip()}]" if label else text.strip()
    if start is None or end is None:
        form = "Name[1.5 to 3]" if label else "1.5 to 3"
        return Misfit("no time from a start to an end", f"write it as '{form}'", value=shown)
    if end <= start:
        return Misfit("the end is not after the start", "which of them is wrong?", value=shown)
    return LabelledTime(label, start, end)


def _without_times(text: str) -> Iterator[Misfit]:
    """A `Misfit` for what stands between two parts, if it is more than what divides them."""
    if not _BETWEEN.fullmatch(text):
        yield Misfit("no time in brackets", "write it as 'Name[1.5 to 3]'", value=text.strip("; "))
