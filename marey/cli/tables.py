"""Tables on a terminal: as wide as it is, no word broken, no column lost. And values as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from marey.cli.shared import console

if TYPE_CHECKING:
    from rich.console import JustifyMethod

    from marey.engine.report import pages

AsJson = Annotated[bool, typer.Option("--json", help="print what there is as JSON, and no table")]
NAME_WIDTH = 24
"""Of the first column at least, in which longer names go on in the next line."""


def print_table(of: pages.Table, title: str = "") -> None:
    """Print the rows; columns that do not fit come in tables below, beside the first ones again."""
    for columns in _that_fit(of, console.width):
        widths = _shares(of, columns, console.width)
        table = Table(title=title or None, title_justify="left")
        for i in columns:
            justify: JustifyMethod = "right" if i in of.numbers else "left"
            table.add_column(of.header[i], overflow="fold", justify=justify, width=widths[i])
        for row in of.rows:
            table.add_row(*(escape(str(row[i])) for i in columns))
        console.print(table, soft_wrap=False)


def print_json(value: object) -> None:
    """Print a value as JSON, with null for what is not a finite number."""
    from pydantic_core import to_json

    sys.stdout.write(to_json(value, indent=2, inf_nan_mode="null").decode() + "\n")


def _that_fit(of: pages.Table, width: int) -> list[list[int]]:
    """The columns of each table: those that name a row, and as many others as there is room for."""
    widths = [each + 3 for each in _widths(of)]
    keys = [*range(of.keys)]
    parts = [keys]
    for i in range(of.keys, len(of.header)):
        if sum(widths[j] for j in (*parts[-1], i)) + 1 > width and parts[-1] != keys:
            parts.append(keys)
        parts[-1] = [*parts[-1], i]
    return parts


def _shares(of: pages.Table, columns: Sequence[int], width: int) -> dict[int, int]:
    """How wide each column of a table is: what it needs and, where there is room, all it has."""
    shares = {i: _widths(of)[i] for i in columns}
    room = max(width - 1 - sum(share + 3 for share in shares.values()), 0)
    for i in columns:
        wanted = max(len(of.header[i]), *(len(str(row[i])) for row in of.rows), shares[i])
        more = min(room, wanted - shares[i])
        shares[i] += more
        room -= more
    return shares


def _widths(of: pages.Table) -> Sequence[int]:
    """What each column needs: its longest cell, or the longest word of its header."""
    cells = [max((len(str(row[i])) for row in of.rows), default=0) for i in range(len(of.header))]
    words = [max(map(len, name.split() or [""])) for name in of.header]
    first, *others = map(max, cells, words)
    return [min(first, NAME_WIDTH), *others]
