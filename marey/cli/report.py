"""The commands `marey report` and `marey compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from marey.cli.shared import console, errors

if TYPE_CHECKING:
    from marey.engine.report import pages
    from marey.engine.report.compare import Comparison


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
    from marey.engine.report.compare import read_comparison

    comparison = read_comparison(runs)
    print_comparison(comparison)
    console.print(f"written: {comparison.write(out)}")


def print_comparison(comparison: Comparison) -> None:
    """The table of several runs, and what does not compare."""
    console.print(_table_of_runs(comparison.table))
    for table in comparison.groups:
        console.print(_table_of_runs(table))
        console.print(escape(table.note))
    for warning in comparison.warnings:
        errors.print(f"[yellow]warning:[/] {escape(warning)}")


def _table_of_runs(of: pages.Table) -> Table:
    """A row a run, whose name in the first column is never cut off."""
    table = Table(*of.header)
    name = table.columns[0]
    name.min_width, name.overflow = min(24, max(len(str(run)) for run, *_ in of.rows)), "fold"
    for row in of.rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table
