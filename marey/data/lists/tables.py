"""Lists that name their columns: csv with a header, json of objects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from marey.data.lists.class_names import unbracketed
from marey.data.lists.interval_cells import intervals_of
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.object_table import object_table
from marey.data.lists.plain_lists import SEPARATORS
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.roles import Roles, Table, choose_roles
from marey.data.lists.text_file import TextFile
from marey.data.lists.times import seconds
from marey.data.lists.wanted_columns import AS_NAMED, WantedColumns, find_name
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.column_names import of_kind
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError, counted


def read_table(file: TextFile, separator: str, wanted: WantedColumns = AS_NAMED) -> Listing:
    """The rows of a table whose first line that is not blank is a header."""
    records = ((line, [cell.strip() for cell in cells]) for line, cells in file.records(separator))
    first, header = next(records, (SourceLine(file.path), [""]))  # none is whole: a fault
    records = (
        (line, cells) for line, cells in records if any(cells)
    )  # blank lines of spreadsheets
    names = [name.strip('"') for name in header]
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        raise ManifestError(
            f"{first}: two columns are named {clip_text(twice[0])}", "rename or remove one of them"
        )
    lines = list(records)
    table = Table(first, names, [row for row in lines if row[1] != header])
    repeats = len(lines) - len(table.rows)
    file.faults.settle()
    if not table.rows:
        raise ManifestError(f"{file.path}: no rows, only a header", "give at least one clip")
    intervals = intervals_of(table, wanted, file.faults)
    file.faults.settle()
    table, names = intervals.table, intervals.table.names
    roles = choose_roles(table, intervals.wanted)
    rows = list(file.faults.fitting(table.rows, partial(_row, names, roles)))
    file.faults.settle()
    times = roles.times.columns if roles.times else ()
    read = {roles.path, *roles.heads.values(), *times}
    read_columns = " and ".join(f"`{name}`" for name in (roles.path, *roles.heads.values()))
    return Listing(
        source=file.path,
        format=f"a table with {read_columns},"
        + (f" {SEPARATORS[separator]}-separated," if len(names) > 1 or separator == "," else "")
        + f" {counted(len(rows), 'row')}",
        rows=rows,
        unit="frames" if roles.times and roles.times.unit == "frames" else "seconds",
        columns={name: table.cells(name) for name in names if name not in read},
        used={role: name for role, name in roles.used.items() if role not in intervals.made}
        | intervals.used,
        class_names=roles.class_names,
        notes=[
            *_header_notes(file, repeats),
            *roles.notes,
            *_frame_notes(roles),
            *intervals.notes,
        ],
    )


def _header_notes(file: TextFile, repeats: int) -> list[str]:
    """What there is to say of tables that were put after one another, headers and all."""
    shown = f"{counted(repeats, 'line')} that {'repeats' if repeats == 1 else 'repeat'} the header"
    return [f"{file.path.name}: left out {shown}"] if repeats else []


def _frame_notes(roles: Roles) -> list[str]:
    if roles.times is None or roles.times.unit != "frames":
        return []
    shown = " and ".join(f"`{name}`" for name in roles.times.columns)
    return [f"frames of {shown} count from 0, the end is not included"]


def _row(names: list[str], roles: Roles, line: SourceLine, cells: list[str]) -> ListRow:
    """What one row says; `Misfit` if a time of it is none."""
    cell = dict(zip(names, cells, strict=True))
    labels = {head: _label(cell[name]) for head, name in roles.heads.items()}
    start, end = _span(roles, cell)
    own = cell[roles.id] if roles.id else ""
    return ListRow(line, cell[roles.path], labels, start, end, id=own)


def _label(cell: str) -> str:
    """A label as it is written; of several, as pandas and numpy write a list of them, a|b.

    >>> _label("['run', 'jump']"), _label("[0 2]"), _label("Holding [something]")
    ('run|jump', '0|2', 'Holding [something]')
    """
    if not _WRITTEN_LIST.fullmatch(cell):
        return cell
    return SEPARATOR.join(item.strip("'\"") for item in re.findall(_ITEM, cell))


_ITEM = r"'[^']*'|\"[^\"]*\"|\d+\b"
_WRITTEN_LIST = re.compile(rf"\[\s*(?:(?:{_ITEM})[\s,]*)*\]", re.ASCII)


def _span(roles: Roles, cell: Mapping[str, str]) -> tuple[float | None, float | None]:
    """The start and end of a clip in seconds, or frames."""
    if roles.times is None:
        return None, None
    scale = 1000 if roles.times.unit == "ms" else 1
    start, end, duration = (
        _time(name, cell[name], scale) if name else None
        for name in (roles.times.start, roles.times.end, roles.times.duration)
    )
    if roles.times.duration and duration is not None:
        end = (start or 0) + duration
    return start, end


def _time(name: str, text: str, scale: float) -> float | None:
    """The seconds, or frames, in a cell of the column `name`; None if it is empty."""
    if not text:
        return None
    time = seconds(text)
    if time is None:
        remedy = "write seconds with a point, or times like 00:01:09.98"
        raise Misfit(f"'{name}' is {clip_text(text)}; expected a time", remedy, value="")
    return time / scale


def read_json(file: TextFile, wanted: WantedColumns = AS_NAMED) -> Listing:
    """The objects of a list as rows, their keys as columns; or Something-Something's templates."""
    entries = list(file.objects())
    file.faults.settle()
    if not entries:
        raise ManifestError(f"{file.path}: the list is empty", "expected a list of objects")
    if not wanted.roles and any("template" in entry for _, entry in entries):
        return _read_templates(file)
    _refuse_nested(file, [entry for _, entry in entries], wanted)
    listing = read_table(object_table(file, entries), ",", wanted)
    return replace(listing, format=listing.format.replace("comma-separated", "of objects of JSON"))


def _refuse_nested(
    file: TextFile, entries: Sequence[Mapping[str, object]], wanted: WantedColumns
) -> None:
    """ManifestError if what would be clips or labels are objects in objects, as WLASL has them."""
    nested = {
        name
        for entry in entries
        for name, value in entry.items()
        if isinstance(value, list) and any(isinstance(item, dict) for item in value)
    }
    names = [name for name in dict.fromkeys(n for e in entries for n in e) if name not in nested]
    asked = [find_name(name, [*nested]) for name in wanted.roles.values()]
    if nested and (any(asked) or not (wanted.roles or of_kind("path", names))):
        raise ManifestError(
            f"{file.path}: `{sorted(nested)[0]}` holds objects in objects",
            'write one object a clip: [{"path": "1.mp4", "label": "jump"}, ...]',
        )


def _read_templates(file: TextFile) -> Listing:
    """Something-Something: the class is the template without its brackets."""
    wanted = "expected a list of objects with id, and template or label"

    def read(line: SourceLine, entry: dict[str, object]) -> ListRow:
        if (name := template_of(entry)) is None:
            raise Misfit("no class", wanted)
        return ListRow(line, str(entry["id"]), {"label": unbracketed(str(name))})

    rows = list(file.faults.fitting(file.objects("id"), read))
    file.faults.settle()
    return Listing(
        source=file.path,
        format=f"json of `id` and `template`, {counted(len(rows), 'row')}",
        rows=rows,
        used={"path": "id", "label": "template"},
    )


def template_of(entry: Mapping[str, object]) -> object:
    """The class that an object of Something-Something's json names; None if it names none."""
    return entry.get("template", entry.get("label"))
