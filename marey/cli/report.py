"""The commands `marey report` and `marey compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from marey.cli.shared import (
    console,
    errors,
)


def report(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
    out: Annotated[Path | None, typer.Option(help="default: RUN/report.html")] = None,
) -> None:
    """Write the run's curves, confusions and mistakes as one HTML file."""
    from marey.engine.report.report import write_report

    console.print(f"written: {write_report(run, out)}")


def compare(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs")],
    out: Annotated[Path, typer.Option(help="HTML file")] = Path("comparison.html"),
) -> None:
    """Put runs side by side: a table here, plots in an HTML file."""
    from marey.engine.report.compare import write_comparison

    print_comparison(runs)
    console.print(f"written: {write_comparison(runs, out)}")


def print_comparison(runs: Sequence[Path]) -> None:
    """The table of several runs, and what does not compare."""
    from marey.engine.report.compare import (
        ComparisonRow,
        comparison_groups,
        comparison_rows,
        comparison_warnings,
    )

    rows = [row.cells() for row in comparison_rows(runs)]
    console.print(_table_of_runs(ComparisonRow.HEADER, rows))
    for found in comparison_groups(runs):
        console.print(_table_of_runs(found.header, found.rows))
        console.print(escape(found.note))
    for warning in comparison_warnings(runs):
        errors.print(f"[yellow]warning:[/] {escape(warning)}")


def _table_of_runs(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A row a run, whose name in the first column is never cut off."""
    table = Table(*header)
    name = table.columns[0]
    name.min_width, name.overflow = min(24, max(len(run) for run, *_ in rows)), "fold"
    for row in rows:
        table.add_row(*map(escape, row))
    return table
