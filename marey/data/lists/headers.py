"""Whether the first line of a list names its columns, and what separates them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args

from marey.data.lists.plain_lists import SAMPLE, SEPARATORS, separator_of
from marey.data.lists.text_file import TextFile
from marey.data.lists.wanted_columns import WantedColumns, find_name
from marey.data.manifest.column_names import Kind, of_kind, squashed
from marey.data.manifest.faults import clip_text
from marey.data.manifest.paths import VIDEO
from marey.data.manifest.time_names import time_name
from marey.errors import counted

_NUMBER = re.compile(r"[\d.:]+", re.ASCII)
_COMMENT = re.compile(r"#+\s*")
_SINGLE = "\t"
"""Separates the columns of a table that has one, of clips without labels."""
_SHARE = 0.9
"""Of the lines below a header that are alike where it is not."""


def header_separator(
    lines: Sequence[str], wanted: WantedColumns, is_clip: Callable[[str], bool]
) -> str | None:
    """What separates the columns that the first line names; None if it names none.

    A line is a header if it has known names for a path and a label, or all the names that a person
    wants; or, whatever its words, if it is unlike the lines below, and no clip is called so. One
    known name is a header where labels are not needed.

    Args:
        is_clip: whether a cell is the name of a clip that is there.
    """
    if not lines:
        return None
    names = [*wanted.roles.values(), *wanted.ignored]
    for separator in SEPARATORS:
        header = lines[0].split(separator)
        is_known = of_kind("path", header) and _has_label(header)
        if all(find_name(name, header) for name in names) if names else is_known:
            return separator
    separator = separator_of(lines[:SAMPLE])
    cells, *rows = ([c.strip() for c in line.split(separator)] for line in lines[:SAMPLE])
    if names or _is_header(cells, rows, is_clip):
        return separator
    is_alone = not wanted.needs_labels and _names_paths(*lines[:SAMPLE])
    return _SINGLE if is_alone and not is_clip(lines[0]) else None


def without_comments(file: TextFile) -> TextFile:
    """The file without the lines that begin with # above its first row, which are said.

    One that names a path and a label is the header. Where every line begins so, they are paths.
    Below the first row a blank follows the #, as clips may be called `#1`.
    """
    lines = file.text.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip() and line[0] != "#"), 0)
    left = []
    for number, line in enumerate(lines[:first]):
        text = _COMMENT.sub("", line, count=1)
        cells = [text.split(separator) for separator in SEPARATORS]
        if any(VIDEO.fullmatch(cell.strip()) for row in cells for cell in row):
            return file
        if any(of_kind("path", row) and _has_label(row) for row in cells):
            lines[number] = text
        elif line.strip():
            left.append(line)
            lines[number] = ""
    for number, line in enumerate(lines[first:], start=first):
        if line.startswith("# ") and '"' not in file.text and not VIDEO.search(line):
            left.append(line)
            lines[number] = ""
    if not first and not left:
        return file
    notes = (
        [
            f"{file.path.name}: left out {counted(len(left), 'line')} of comment, "
            f"{clip_text(left[0])}"
        ]
        if left
        else []
    )
    return replace(file, text="\n".join(lines), notes=(*file.notes, *notes))


def _has_label(names: Sequence[str]) -> bool:
    """Whether a name is one of labels, or those of a verb and a noun are there."""
    return bool(of_kind("label", names)) or {"verbclass", "nounclass"} <= set(map(squashed, names))


def _is_header(
    cells: Sequence[str], rows: Sequence[Sequence[str]], is_clip: Callable[[str], bool]
) -> bool:
    """Whether cells are names, by what stands below them."""
    named = [name for name in cells if _is_known(name)]
    if not all(re.search(r"[^\W\d]", cell) and not VIDEO.fullmatch(cell) for cell in cells):
        return False
    if not rows or len(cells) == 1:
        return len(named) == len(cells) > 1
    alike = [row for row in rows if len(row) == len(cells)]
    columns = [*zip(*alike, strict=True)]
    if len(alike) < _SHARE * len(rows) or any(map(_is_in, cells, columns)):
        return False
    videos = [place for place, column in enumerate(columns) if _share(VIDEO.fullmatch, column)]
    if len(named) > 1:
        return True
    path = videos[0] if videos else 0
    numbers = any(_share(_NUMBER.fullmatch, column) for column in columns)
    return (bool(videos) or numbers or _share(is_clip, columns[0])) and not is_clip(cells[path])


def _names_paths(first: str, *others: str) -> bool:
    """Whether the first of some lines is the name of one column, of paths."""
    is_word = re.fullmatch(r"[^\W\d]+([ _-][^\W\d]+)*", first) is not None
    return bool(
        others and ((is_word and _share(VIDEO.fullmatch, others)) or of_kind("path", [first]))
    )


def _is_known(name: str) -> bool:
    return any(of_kind(kind, [name]) for kind in get_args(Kind)) or time_name(name) is not None


def _is_in(cell: str, column: Sequence[str]) -> bool:
    return cell in column


def _share(test: Callable[[str], object], column: Sequence[str]) -> bool:
    """Whether nearly all cells of a column pass a test."""
    return sum(bool(test(cell)) for cell in column) >= _SHARE * len(column) > 0
