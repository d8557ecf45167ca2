"""The command `marey`: each command parses its words, calls one function, prints.

Everything heavy is imported inside a command, so that `marey --help` answers at once. An error of
ours is printed as two lines, without a traceback, and ends the command with status 2.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

import marey
from marey.cli import (
    cache,
    evaluate,
    export,
    features,
    join,
    models,
    optimize,
    pack,
    page,
    predict,
    prepare,
    push,
    report,
    serve,
    stream,
    submit,
    sweep,
    train,
    weights,
)
from marey.cli.bench import bench_app
from marey.cli.data import data_app
from marey.cli.memory import HINT, MAY_BE, ran_out, too_little
from marey.cli.recipes import recipes_app
from marey.cli.refused import Commands
from marey.cli.shared import console, errors, out_either_way, quietly, stopping
from marey.cli.tables import AsJson, print_json
from marey.errors import MareyError
from marey.terminal import TerminalHandler, write_any_text

EARLIER = {"engine": "executor"}
"""Options by their earlier names, which are still understood."""

app = typer.Typer(
    cls=Commands,
    context_settings={"token_normalize_func": lambda name: EARLIER.get(name, name)},
    help="Action recognition from frames to the long tail.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)
data_app.command("prepare")(prepare.data_prepare)
data_app.command("extract")(pack.data_extract)
data_app.command("pack")(pack.data_pack)
data_app.command("verify")(pack.data_verify)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")
app.add_typer(recipes_app, name="recipes")
app.add_typer(weights.weights_app, name="weights")


TO_BEGIN_WITH = """\
marey: action recognition from frames to the long tail. To begin with:

  marey data init my-videos my-data              what your videos are, as a manifest
  marey train --manifest my-data/manifest.csv    train what suits them; it says what, and why
  marey predict runs/NAME clip.mp4               what happens in a video

Without videos of your own: marey demo. All commands: marey --help"""


QUIETLY = (
    *(
        "eval",
        "test",
        "predict",
        "stream",
        "submit",
        "report",
        "export",
        "features",
        "join",
        "push",
        "convert",
        "demo",
        "get",
        "sweep",
        "optimize",
        "compare",
    ),
    *("init", "check", "show", "prepare", "extract", "pack", "verify", "longtail"),
)
"""The commands whose product is a file, a status or an answer, which is printed all the same: those
besides `train` with an option -q."""


@app.callback()
def begin(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="say it, and end")] = False,
) -> None:
    """Action recognition from frames to the long tail."""
    if version:
        console.print(f"marey {marey.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        console.print(TO_BEGIN_WITH)


def main() -> None:
    """Run a command; an error of ours, or no memory, ends it with status 2, Ctrl-C with 130."""
    write_any_text()
    log = logging.getLogger("marey")
    log.addHandler(TerminalHandler(errors))
    log.setLevel(logging.INFO)
    if reason := too_little():
        _fail(f"the memory is too little: {reason}", "lift the limit (ulimit -v)")
    sys.path.append("")  # the current folder, last: recipes may name a class of a file in it
    try:
        with stopping():
            words = optimize.usual_limits(train.with_values(sys.argv[1:]))
            app(words, prog_name="marey")
    except MareyError as error:
        _fail(error.message, error.hint)
    except UnicodeEncodeError as error:  # in a library that takes names of UTF-8 alone
        name = str(error.object)[:200]
        _fail(f"{name!r} is not UTF-8, or {error.encoding} lacks a letter of it", "rename it")
    except MAY_BE as error:
        reason = ran_out(error)
        if not reason:
            raise
        _fail(f"the memory ran out: {reason}", HINT)


def _fail(message: str, hint: str) -> NoReturn:
    errors.print(f"[red]error:[/] {escape(message)}")
    if hint:
        errors.print(f"[cyan]hint:[/] {escape(hint)}")
    sys.exit(2)


app.command()(train.train)
app.command()(sweep.sweep)
app.command("eval")(evaluate.evaluate)
app.command("test", hidden=True)(evaluate.evaluate)
app.command()(predict.predict)
app.command()(stream.stream)
app.command()(submit.submit)
app.command()(serve.serve)
app.command("app")(page.app_page)
app.command(context_settings={"allow_extra_args": True})(report.report)
app.command()(report.compare)


app.command()(export.export)
app.command()(optimize.optimize)
app.command()(features.features)
app.command()(join.join)
app.command()(push.push)
app.command()(models.convert)
app.command()(models.models)
app.command()(cache.cache)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for videos, runs and report")] = Path(
        "marey-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="of everything random")] = 0,
) -> None:
    """Render videos, train TSN and TSM on them, and show that order matters (a few minutes)."""
    from marey.engine.demo import run_demo

    run_demo(out, seed=seed, say=console.print, table=report.print_comparison)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show versions, devices, instruction sets, codecs, the cache and what is optional here."""
    from marey.engine.doctor import facts

    found = facts()
    if as_json:
        print_json(found)
        return
    width = max(map(len, found))
    for name, value in found.items():
        console.print(f"{name:{width}}  {value}", markup=False)


for _group in (app, data_app, weights.weights_app):
    for _command in _group.registered_commands:
        made = _command.callback
        assert made is not None
        _command.callback = made = out_either_way(made)
        if (_command.name or made.__name__) in QUIETLY:
            _command.callback = quietly(made)
