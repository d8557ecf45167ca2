"""The whole numbers that end a line of a list."""

from __future__ import annotations

import re
from collections.abc import Sequence

from marey.data.lists.text_file import whole
from marey.data.manifest.classes import SEPARATOR

_NUMBERS = re.compile(rf"-?\d{{1,18}}(?:{re.escape(SEPARATOR)}-?\d{{1,18}})*", re.ASCII)


def is_number(text: str) -> bool:
    """Whether this is a whole number, or several joined as in a manifest: `311|969`."""
    return _NUMBERS.fullmatch(text) is not None


def count_numbers(cells: Sequence[str]) -> int:
    """Whole numbers at the end of the cells after the first, which is the path whatever it is."""
    count = 0
    while count < len(cells) - 1 and is_number(cells[-1 - count]):
        count += 1
    return count


def is_span(start: str, end: str) -> bool:
    """Whether these are the first and the last frame of a part, from 1."""
    first, last = whole(start), whole(end)
    return first is not None and last is not None and 1 <= first <= last
