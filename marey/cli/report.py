"""The commands `marey report` and `marey compare`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli.shared import console, errors, progress_bar
from marey.cli.tables import AsJson, print_json, print_table

if TYPE_CHECKING:
    from marey.engine.report.compare import Comparison

Results = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="evaluation, by its name or split; default: that of the validation"
    ),
]


def report(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="folder of a run, or RUN/results/NAME")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="default: RUN/report.html, of --results NAME in RUN/results/NAME; made anew there"
        ),
    ] = None,
    results: Results = None,
    overwrite: opt.Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write the run's curves, confusions and mistakes as one HTML file."""
    if context.args:
        runs = shlex.join([str(run), *context.args])
        raise typer.BadParameter(f"a report is of one run; side by side: marey compare {runs}")
    from marey.engine.report.numbers import report_numbers
    from marey.engine.report.report import write_report

    with progress_bar("writing the page"):
        written = write_report(run, out, results, overwrite=overwrite)
    if as_json:
        print_json(report_numbers(run, results))
    (errors if as_json else console).print(f"written: {written}")


def compare(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs, or RUN/results/NAME")],
    out: Annotated[
        Path | None, typer.Option(metavar="HTML", help="also a page with plots, such as a.html")
    ] = None,
    results: Results = None,
    overwrite: opt.Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Put runs side by side: tables here and, with --out, plots on a page."""
    from marey.engine.report.compare import read_comparison
    from marey.storage.atomic import refuse_existing

    if out:
        refuse_existing(out, overwrite=overwrite)
    with progress_bar("reading runs"):
        comparison = read_comparison(runs, results)
    if as_json:
        print_json(comparison.as_json)
    else:
        print_comparison(comparison)
    if out:
        (errors if as_json else console).print(f"written: {comparison.write(out)}")
    elif not as_json:
        console.print("curves, costs and differences by class as a page: --out comparison.html")


def print_comparison(comparison: Comparison) -> None:
    """The tables of several runs, and what does not compare."""
    for table in comparison.tables:
        print_table(table)
        if table.note:
            console.print(escape(table.note))
    for warning in comparison.warnings:
        errors.print(f"[yellow]warning:[/] {escape(warning)}")
