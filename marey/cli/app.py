"""The command `marey`: each command parses its words, calls one function, prints.

Everything heavy is imported inside a command, so that `marey --help` answers at once. An error of
ours is printed as two lines, without a traceback, and ends the command with status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from marey.cli import evaluate, features, models, pack, predict, prepare
from marey.cli.bench import bench_app
from marey.cli.data import data_app
from marey.cli.shared import (
    BatchSize,
    Device,
    Overrides,
    Workers,
    console,
    errors,
)

app = typer.Typer(
    help="Action recognition from frames to the long tail.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app.command("prepare")(prepare.data_prepare)
data_app.command("extract")(pack.data_extract)
data_app.command("pack")(pack.data_pack)
data_app.command("verify")(pack.data_verify)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")
app.add_typer(models.recipes_app, name="recipes")
app.add_typer(models.weights_app, name="weights")


def main() -> None:
    """Run a command; an error of ours ends it with status 2."""
    from marey.errors import MareyError

    try:
        app(_resume_latest(sys.argv[1:]), prog_name="marey")
    except MareyError as error:
        errors.print(f"[red]error:[/] {escape(error.message)}")
        if error.hint:
            errors.print(f"[cyan]hint:[/] {escape(error.hint)}")
        sys.exit(2)


@app.command()
def train(
    recipe: Annotated[
        str | None, typer.Argument(help="name, YAML file or folder of a run; +crt: a second stage")
    ] = None,
    overrides: Overrides = None,
    manifest: Annotated[
        list[str] | None, typer.Option(help="file or url to train on; several are joined")
    ] = None,
    val_manifest: Annotated[str | None, typer.Option(help="default: split val of it")] = None,
    work_dir: Annotated[Path | None, typer.Option(help="default: runs/NAME")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="[PATH]", help="go on from the latest, or from PATH")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE", help="to start from; imagenet: the official ones")
    ] = None,
    workers: Workers = None,
    batch_size: BatchSize = None,
    seed: Annotated[int | None, typer.Option(help="of everything random")] = None,
    amp: Annotated[bool, typer.Option("--amp", help="bfloat16 where it is safe")] = False,
    device: Device = None,
    save_steps: Annotated[int | None, typer.Option(help="save this often as well")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet")] = False,
) -> None:
    """Train a recipe; several processes by torchrun or srun, without another flag."""
    from marey.engine.train.loop import train as run_training
    from marey.engine.train.run_folder import last_checkpoint, read_run_recipe
    from marey.engine.train.stop_signals import Stopped
    from marey.recipes.catalog import find
    from marey.recipes.schema import override

    if recipe and "=" in recipe:
        overrides, recipe = [recipe, *(overrides or [])], None
    checkpoint = None if resume in (None, "latest") else Path(resume)
    if work_dir is None:
        work_dir = checkpoint.parent.parent if checkpoint else Path("runs") / find(recipe).name
    if resume == "latest":
        checkpoint = last_checkpoint(work_dir)
    chosen = find(recipe) if checkpoint is None and recipe else read_run_recipe(work_dir)
    if resume and checkpoint is None and not quiet:
        console.print(f"nothing is saved in {work_dir} yet: starting from the beginning")
    options = {
        "data.train": manifest[0] if manifest else None,
        "data.more": manifest[1:] if manifest else None,
        "data.val": val_manifest,
        "weights": weights,
        "data.workers": workers,
        "batch_size": batch_size,
        "seed": seed,
        "amp": amp or None,
    }
    try:
        run_training(
            override(chosen, [*(overrides or []), *_as_overrides(options)]),
            work_dir,
            resume=checkpoint,
            device=device,
            save_steps=save_steps,
            quiet=quiet,
        )
    except Stopped as stop:
        errors.print(
            f"stopped and saved. Go on with: marey train --resume --work-dir {stop.work_dir}"
        )
        raise typer.Exit(130) from None
    console.print(f"trained: {work_dir}")


app.command("eval")(evaluate.evaluate)
app.command("test", hidden=True)(evaluate.evaluate)
app.command()(predict.predict)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
    out: Annotated[Path | None, typer.Option(help="default: RUN/report.html")] = None,
) -> None:
    """Write the run's curves, confusions and mistakes as one HTML file."""
    from marey.engine.report.report import write_report

    console.print(f"written: {write_report(run, out)}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs")],
    out: Annotated[Path, typer.Option(help="HTML file")] = Path("comparison.html"),
) -> None:
    """Put runs side by side: a table here, plots in an HTML file."""
    from marey.engine.report.compare import write_comparison

    print_comparison(runs)
    console.print(f"written: {write_comparison(runs, out)}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
    out: Annotated[Path, typer.Argument(help="new folder")],
) -> None:
    """Make a release of a run: safetensors, config, labels and a model card."""
    from marey.engine.weights.trained import export_release

    console.print(f"written: {export_release(run, out)}")


app.command()(features.features)
app.command()(models.convert)
app.command()(models.models)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for videos, runs and report")] = Path(
        "marey-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="of everything random")] = 0,
) -> None:
    """Render videos, train TSN and TSM on them, and show that order matters (a few minutes)."""
    from marey.engine.demo import run_demo

    run_demo(out, seed=seed, say=console.print, table=print_comparison)


@app.command()
def doctor() -> None:
    """Show versions, devices and what is optional here."""
    from marey.engine.environment import environment

    for name, value in environment().items():
        console.print(f"{name:12} {escape(value)}")


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


def _as_overrides(options: Mapping[str, object]) -> list[str]:
    """Options that were given, as `key=value` in YAML."""
    import json

    return [
        f"{key}={json.dumps(str(value) if isinstance(value, Path) else value)}"
        for key, value in options.items()
        if value is not None
    ]


def _resume_latest(words: list[str]) -> list[str]:
    """`--resume` alone means the latest checkpoint, `--resume PATH` that one."""
    out = list(words)
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else "-"
        if word == "--resume" and not following.endswith(".pt"):
            out[i] = "--resume=latest"
    return out
