"""Rows of the lists that older toolboxes train from.

| line                    | who writes it                                      |
|-------------------------|----------------------------------------------------|
| `path label`            | mmaction2, UniFormer's Kinetics                    |
| `path num_frames label` | TSN, TSM, TDN, GST, GC, UniFormer                  |
| `path start end label`  | bLVNet: frames from 1, end inclusive               |

The separator is `;`, a tab, a comma or white space; a path may hold spaces, as class folders do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from marey.data.lists.annotation_files import Annotations, SourceLine, whole

COLUMNS = ("path label", "path num_frames label", "path start end label")


class ListRow(NamedTuple):
    """One line of a list."""

    place: SourceLine
    path: str
    label: int
    num_frames: int | None = None
    start: int | None = None
    """First frame, from 0; the end is exclusive. None for whole videos."""
    end: int | None = None


def list_rows(files: Annotations, role: str) -> Iterator[ListRow]:
    """The rows of a list; lines that are not like most others are rejected."""
    lines = list(files.lines(role))
    separator = _separator([line for _, line in lines[:1000]])
    counts = Counter(_num_numbers(line, separator) for _, line in lines[:1000])
    width = max(counts.most_common(1)[0][0], 1) if counts else 1
    for place, line in lines:
        fields = line.rsplit(separator, width)
        numbers = [whole(field.strip()) for field in fields[1:]]
        known = [number for number in numbers if number is not None]
        if len(known) < width or not fields[0].strip():
            files.reject(place, line, f"expected `{COLUMNS[width - 1]}`", "numbers are whole")
        elif width == 3 and not 1 <= known[0] <= known[1]:
            files.reject(place, line, f"frames {known[0]} to {known[1]}", "frames count from 1")
        else:
            yield _row(place, fields[0].strip(), known)


def _row(place: SourceLine, path: str, numbers: list[int]) -> ListRow:
    if len(numbers) == 3 and numbers[0] > 1:
        return ListRow(place, path, numbers[2], None, numbers[0] - 1, numbers[1])
    return ListRow(place, path, numbers[-1], numbers[-2] if len(numbers) > 1 else None)


def _separator(lines: list[str]) -> str | None:
    for separator in (";", "\t", ","):
        if 2 * sum(separator in line for line in lines) > len(lines):
            return separator
    return None


def _num_numbers(line: str, separator: str | None) -> int:
    """Whole numbers at the end of a line, after the path: 0 to 3."""
    fields = line.split(separator)[1:][-3:]
    numbers = [whole(field.strip()) is not None for field in fields]
    return len(numbers) if all(numbers) else numbers[::-1].index(False)
