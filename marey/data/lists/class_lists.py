"""Lists without a header that name and number the class of every clip: `path;class;number`.

The number is the class's where every class has one and no two the same; then classes have the order
of their numbers. Else it says something of the clip, as how many frames it has, and is left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.plain_lists import SEPARATORS
from marey.data.lists.rejects import SourceLine
from marey.data.lists.text_file import TextFile, whole
from marey.data.manifest.paths import VIDEO
from marey.errors import counted

_NUMBERS = re.compile(r"[-\d,|]+", re.ASCII)
_Lines = list[tuple[SourceLine, tuple[str, str, str]]]


def read_class_list(file: TextFile) -> Listing | None:
    """The rows of such a list, with tabs, `;`, `,` or blanks; None if not all lines are of it."""
    for separator in SEPARATORS:
        lines = _lines(file, separator)
        if lines is not None:
            return _listing(file.path, separator, lines)
    return None


def _lines(file: TextFile, separator: str) -> _Lines | None:
    """Path, class and number of every line."""
    lines: _Lines = []
    for line, text in file.lines():
        cells = [cell.strip() for cell in text.rstrip(separator).split(separator)]
        numbers = [place for place in (1, 2) if len(cells) == 3 and whole(cells[place]) is not None]
        if len(numbers) != 1 or not all(cells):
            return None
        lines.append((line, (cells[0], cells[3 - numbers[0]], cells[numbers[0]])))
    words = [word for _, (_, word, _) in lines]
    if all(map(_NUMBERS.fullmatch, words)):  # -1, or several numbers: no class is named so
        return None
    named = sum(bool(VIDEO.fullmatch(path)) for _, (path, _, _) in lines)
    # else a path that holds the separator, whose last part would be the class
    is_sure = 2 * named > len(lines) or (separator != " " and len(set(words)) < len(words))
    return lines if is_sure and not any(map(VIDEO.fullmatch, words)) else None


def _listing(path: Path, separator: str, lines: _Lines) -> Listing:
    pairs = {(int(number), word) for _, (_, word, number) in lines}
    names = dict(sorted(pairs))
    are_classes = len(pairs) == len(names) == len({word for _, word in pairs})
    if are_classes:
        note = "classes are named by the words of each line and ordered by its number"
    else:
        shown = _range([number for number, _ in pairs])
        note = f"the number in each line, {shown}, is none of the class and is left"
    return Listing(
        source=path,
        format=f"`path class number`, {SEPARATORS[separator]}-separated, "
        f"{counted(len(lines), 'row')}",
        rows=[ListRow(line, name, {"label": word}) for line, (name, word, _) in lines],
        class_names=names if are_classes else {},
        notes=[note],
    )


def _range(numbers: Sequence[int]) -> str:
    return f"{min(numbers)} to {max(numbers)}"
