"""Lists that name their columns: csv with a header, json of objects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.data.lists.class_names import unbracketed
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.plain_lists import SEPARATORS
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile
from marey.data.lists.times import seconds
from marey.data.manifest.columns import Unit
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError

PATH_NAMES = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "video", "video_path",
    "video_name", "video_file", "clip", "clip_path", "name", "id", "video_id", "youtube_id",
)  # fmt: skip
LABEL_NAMES = (
    "label", "class", "category", "action", "activity", "target", "label_name", "class_name",
    "action_name", "label_id", "class_id",
)  # fmt: skip
"""Column names in lower case; of several the one that stands first here."""
SPAN_NAMES: tuple[tuple[Unit, tuple[str, ...]], ...] = (
    ("seconds", ("start", "end")),
    ("seconds", ("start_timestamp", "stop_timestamp")),
    ("frames", ("start_frame", "end_frame")),
    ("seconds", ()),
)
"""Not Kinetics' time_start: that says where the clip lay in a video one no longer has."""
ID_NAMES = ("id", "narration_id")
"""Columns that hold what a data set calls a clip."""


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """What the columns of a table are read as, by their names.

    >>> print(table_format(["video", "speaker", "class"], ";"))
    a table with `video` and `class`, semicolon-separated
    """

    separator: str
    path: str
    heads: Mapping[str, str]
    """Head -> the column of its labels."""
    unit: Unit
    span: tuple[str, ...]
    """The columns of starts and ends, if there are any."""
    id: str
    """What the data set calls a clip; "" if no column says it."""
    others: tuple[str, ...]

    def __str__(self) -> str:
        columns = f"`{self.path}` and `{'`, `'.join(self.heads.values())}`"
        return f"a table with {columns}, {SEPARATORS[self.separator]}-separated"


def is_table(path: Path) -> bool:
    """Whether the file begins with a header that names a path and a label."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline(1 << 16)
    except (OSError, UnicodeDecodeError):
        return False
    return header_separator(header) is not None


def header_separator(line: str) -> str | None:
    """What separates the columns of a header that names a path and a label; None if it is none."""
    for separator in SEPARATORS:
        names = [_normal(name) for name in line.split(separator)]
        if _heads(names) and any(name in names for name in PATH_NAMES):
            return separator
    return None


def table_format(names: Sequence[str], separator: str = ",") -> TableFormat:
    """What columns of these names are read as, by the names of columns that are known."""
    path = next(name for name in PATH_NAMES if name in names)
    heads = _heads(names)
    unit, span = next((unit, span) for unit, span in SPAN_NAMES if set(span) <= set(names))
    others = tuple(name for name in names if name not in {path, *heads.values(), *span})
    id_name = next((name for name in ID_NAMES if name in others), "")
    return TableFormat(
        separator=separator,
        path=path,
        heads=heads,
        unit=unit,
        span=span,
        id=id_name,
        others=others,
    )


def read_table(file: TextFile, separator: str) -> Listing:
    """The rows of a table whose first line that is not blank is a header."""
    records = file.records(separator)
    first, header = next(records)
    names = [_normal(name) for name in header]
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        raise ManifestError(f"{first}: two columns are named {clip_text(twice[0])}")
    form = table_format(names, separator)

    def read(line: SourceLine, cells: list[str]) -> tuple[ListRow, list[str]]:
        cell = dict(zip(names, cells, strict=True))
        labels = {head: cell[name] for head, name in form.heads.items()}
        start, end = (_time(name, cell[name]) for name in form.span) if form.span else (None, None)
        row = ListRow(line, cell[form.path], labels, start, end, id=cell.get(form.id, ""))
        return row, [cell[name] for name in form.others]

    rows = list(file.faults.fitting(records, read))
    file.faults.settle()
    if not rows:
        raise ManifestError(f"{file.path}: no rows, only a header", "give at least one clip")
    columns = {name: [cells[n] for _, cells in rows] for n, name in enumerate(form.others)}
    shown = f"{form}, {len(rows):,} rows"
    return Listing(file.path, shown, [row for row, _ in rows], form.unit, columns)


def _time(name: str, text: str) -> float | None:
    """The seconds, or frames, in a cell of the column `name`; None if it is empty."""
    if text.strip() and seconds(text) is None:
        remedy = "write seconds, or times like 00:01:09.98"
        raise Misfit(f"'{name}' is {clip_text(text)}; expected a time", remedy, value="")
    return seconds(text)


def read_json(file: TextFile) -> Listing:
    """Something-Something: the class is the template without its brackets."""
    wanted = "expected a list of objects with id, and template or label"

    def read(line: SourceLine, entry: dict[str, object]) -> ListRow:
        if (name := template_of(entry)) is None:
            raise Misfit("no class", wanted)
        return ListRow(line, str(entry["id"]), {"label": unbracketed(str(name))})

    rows = list(file.faults.fitting(file.objects("id"), read))
    file.faults.settle()
    if not rows:
        raise ManifestError(f"{file.path}: the list is empty", wanted)
    return Listing(file.path, f"json of `id` and `template`, {len(rows):,} rows", rows)


def template_of(entry: Mapping[str, object]) -> object:
    """The class that an object of Something-Something's json names; None if it names none."""
    return entry.get("template", entry.get("label"))


def _normal(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().strip('"').lower())


def _heads(names: Sequence[str]) -> dict[str, str]:
    """Head -> its column: EPIC's verb_class and noun_class, else the one label column."""
    if "verb_class" in names and "noun_class" in names:
        return {"verb": "verb_class", "noun": "noun_class"}
    label = next((name for name in LABEL_NAMES if name in names), None)
    return {"label": label} if label else {}
