"""Cells that say what happens when in a whole video, each interval of them as a row of its own.

    video,Classes                                          video,Classes,start,end
    a.mp4,Sitting[0 to 2.5; 4 to 6]; Walking[2.6 to 4]     a.mp4,Sitting,0,2.5
                                                           a.mp4,Sitting,4,6
    video,label,segments                                   a.mp4,Walking,2.6,4
    a.mp4,Sitting,0-2.5; 4-6

The class stands in the cell, or in a column of labels beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from marey.data.lists.labelled_times import LabelledTime, bare_times, labelled_times
from marey.data.lists.rejects import Faults, Misfit
from marey.data.lists.roles import Table
from marey.data.lists.wanted_columns import WantedColumns, find_name
from marey.data.manifest.time_names import SUFFIXES, TimeUnit, looks_like_time, time_name
from marey.errors import ManifestError, counted

SAMPLE = 100
"""Cells by which a column is known."""
_EDGES = "start", "end"


@dataclass(frozen=True)
class Intervals:
    """A table whose intervals are rows.

    Args:
        table: with a start and an end in each row.
        wanted: what its columns are.
        used: the role and the name of the column that held them.
        made: roles of columns that the table had not, or had for intervals.
        notes: what there is to say.
    """

    table: Table
    wanted: WantedColumns
    used: dict[str, str]
    made: tuple[str, ...]
    notes: tuple[str, ...]


def intervals_of(table: Table, wanted: WantedColumns, faults: Faults) -> Intervals:
    """The table with a row for each interval; as it is if no column holds some.

    Pieces that are no interval are `faults`. ManifestError if no cell tells their unit.
    """
    column, unit = _column(table, wanted)
    if not column:
        return Intervals(table, wanted, {}, (), ())
    place, named = table.names.index(column), _is_named(table.cells(column))
    rows, empty = [], 0
    for line, cells in table.rows:
        empty += not cells[place]
        for found in _read(cells[place], named=named):
            if isinstance(found, Misfit):
                faults.add(line, found.value, str(found), found.remedy)
                continue
            own = [*cells, f"{found.start!r}", f"{found.end!r}"]
            own[place] = found.label
            rows.append((line, own))
    unit = unit or _told_unit(table, column)
    # names that no list has, so that nothing else is taken for them
    edges = {f"{edge}{SUFFIXES[unit]}": f"{edge} of {column}" for edge in _EDGES}
    head = {"label": column} if named and "label" not in wanted.roles else {}
    others = {role: name for role, name in wanted.roles.items() if not _is_role(role)}
    left = () if named else (column,)
    nothing = f"{counted(empty, 'row')} of which `{column}` says nothing: left out"
    return Intervals(
        table=Table(table.line, [*table.names, *edges.values()], rows),
        wanted=replace(wanted, roles={**others, **head, **edges}, ignored=(*wanted.ignored, *left)),
        used={f"intervals{SUFFIXES[unit]}": column},
        made=(*edges, *head),
        notes=(nothing,) if empty else (),
    )


def _column(table: Table, wanted: WantedColumns) -> tuple[str, TimeUnit]:
    """The column of intervals and its unit, where a person says it; "" if there is none."""
    for role, name in wanted.roles.items():
        if _is_role(role):
            unit = next(unit for unit, suffix in SUFFIXES.items() if role == f"intervals{suffix}")
            return find_name(name, table.names) or name, unit
    taken = {find_name(name, table.names) for name in (*wanted.roles.values(), *wanted.ignored)}
    for name in table.names:
        is_loose = looks_like_time(name) and time_name(name) is None
        if name and name not in taken and _holds_intervals(table.cells(name), is_loose):
            return name, ""
    return "", ""


def _is_role(role: str) -> bool:
    return role.startswith("intervals")


def _holds_intervals(cells: Sequence[str], is_loose: bool) -> bool:
    """Whether most cells hold an interval; without a class only if the column is called so."""
    some = list(islice(filter(None, cells), SAMPLE))
    named = _is_named(some)
    if not some or not (named or is_loose):
        return False
    held = [any(isinstance(of, LabelledTime) for of in _read(cell, named=named)) for cell in some]
    return 2 * sum(held) >= len(some)


def _is_named(cells: Sequence[str]) -> bool:
    """Whether cells name the class of their intervals: Name[1 to 2]."""
    some = list(islice(filter(None, cells), SAMPLE))
    return 2 * sum(re.search(r"\w\s*\[[^]]*\d", cell) is not None for cell in some) >= len(some) > 0


def _read(cell: str, *, named: bool) -> Iterator[LabelledTime | Misfit]:
    return labelled_times(cell) if named else bare_times(cell)


def _told_unit(table: Table, column: str) -> TimeUnit:
    """Seconds, if a cell has a point or a colon between digits; else it is asked."""
    if any(re.search(r"\d[.:]\d", cell) for cell in table.cells(column)):
        return "seconds"
    readings = (
        f"--columns intervals{suffix}={column} if they are {unit}"
        for unit, suffix in SUFFIXES.items()
    )
    raise ManifestError(
        f"{table.line}: `{column}` says when something happens, in whole numbers of no unit",
        f"{'; '.join(readings)}; --ignore {column} leaves them",
    )
