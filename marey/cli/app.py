"""The command `marey`: each command parses its words, calls one function, prints.

Everything heavy is imported inside a command, so that `marey --help` answers at once. An error of
ours is printed as two lines, without a traceback, and ends the command with status 2.
"""

from __future__ import annotations

import atexit
import gc
import logging
import sys
from collections.abc import Sequence
from typing import Annotated, ClassVar, NoReturn

import typer
from rich.markup import escape

import marey
from marey.cli.bare_options import with_values
from marey.cli.commands import Commands, Entry
from marey.cli.memory import HINT, MAY_BE, ran_out, too_little
from marey.cli.shared import console, ending, errors, stopping
from marey.errors import MareyError
from marey.terminal import TerminalHandler, write_any_text

EARLIER = {"engine": "executor"}
"""Options by their earlier names, which are still understood."""

_EVAL = "Score every view of every clip; KEY=VALUE changes the test views (test.crop=...)."


class Marey(Commands):
    """All commands, in the order in which they are listed: that of the walk in the README."""

    ENTRIES: ClassVar = {
        "data": Entry(
            "marey.cli.data:data_app",
            "Clips and their manifests: make, check, show, pack and describe them.",
            panel="Clips",
        ),
        "features": Entry(
            "marey.cli.features:features",
            "Write what a trained model sees in every clip into one file, to train on in seconds.",
            is_quiet=True,
            panel="Clips",
        ),
        "train": Entry(
            "marey.cli.train:train",
            "Train a recipe, or what suits the clips where none is named; the latter says why.",
            panel="Train and measure",
        ),
        "sweep": Entry(
            "marey.cli.sweep:sweep",
            "Train with several values of some keys, and say which did best on validation.",
            is_quiet=True,
            panel="Train and measure",
        ),
        "eval": Entry(
            "marey.cli.evaluate:evaluate", _EVAL, is_quiet=True, panel="Train and measure"
        ),
        "test": Entry(
            "marey.cli.evaluate:evaluate",
            _EVAL,
            is_quiet=True,
            is_hidden=True,
            panel="Train and measure",
        ),
        "report": Entry(
            "marey.cli.report:report",
            "Write the run's curves, confusions and mistakes as one HTML file.",
            is_quiet=True,
            takes_more=True,
            panel="Train and measure",
        ),
        "compare": Entry(
            "marey.cli.report:compare",
            "Put runs side by side: tables here and, with --out, plots on a page.",
            is_quiet=True,
            panel="Train and measure",
        ),
        "predict": Entry(
            "marey.cli.predict:predict",
            "Say what happens in a video, or when; with --out, in all clips of a manifest or list.",
            is_quiet=True,
            panel="Use a model",
        ),
        "stream": Entry(
            "marey.cli.stream:stream",
            "Say what happens in live pictures, as they come; Ctrl-C ends it with a summary.",
            is_quiet=True,
            panel="Use a model",
        ),
        "app": Entry(
            "marey.cli.page:app_page",
            "Serve a page to try a model: upload a video, show the camera, see where it looks.",
            panel="Use a model",
            serves=True,
        ),
        "serve": Entry(
            "marey.cli.serve:serve",
            "Answer requests by HTTP: labels and timelines of videos, and of live streams.",
            panel="Use a model",
            serves=True,
        ),
        "submit": Entry(
            "marey.cli.submit:submit",
            "Write predictions as another file, or as a submission to a challenge; uploads"
            " nothing.",
            is_quiet=True,
            panel="Use a model",
        ),
        "export": Entry(
            "marey.cli.export:export",
            "Write a trained model for others to use: its weights, or a file for another runtime.",
            is_quiet=True,
            panel="Export and share",
        ),
        "optimize": Entry(
            "marey.cli.optimize:optimize",
            "Try every form of a model on this machine, and keep the fastest that scores the same.",
            is_quiet=True,
            panel="Export and share",
        ),
        "join": Entry(
            "marey.cli.join:join",
            "Put a model of features behind the encoder that made them: a release that takes"
            " videos.",
            is_quiet=True,
            panel="Export and share",
        ),
        "convert": Entry(
            "marey.cli.models:convert",
            "Make a release of a published checkpoint, to predict with and to evaluate.",
            is_quiet=True,
            panel="Export and share",
        ),
        "push": Entry(
            "marey.cli.push:push",
            "Share a model on the hub of Hugging Face, without where its clips lie.",
            is_quiet=True,
            panel="Export and share",
        ),
        "recipes": Entry(
            "marey.cli.recipes:recipes_app",
            "The recipes that come with marey.",
            panel="What there is",
        ),
        "models": Entry(
            "marey.cli.models:models",
            "What models cost: parameters, GMACs, memory of one clip at the recipe's test size.",
            panel="What there is",
        ),
        "weights": Entry(
            "marey.cli.weights:weights_app",
            "Published weights: what there is, what of it is here; get fetches one.",
            panel="What there is",
        ),
        "demo": Entry(
            "marey.cli.demo:demo",
            "Render videos, train TSN and TSM on them, and show that order matters (a few"
            " minutes).",
            is_quiet=True,
            panel="This machine",
        ),
        "doctor": Entry(
            "marey.cli.doctor:doctor",
            "Show versions, devices, instruction sets, codecs, the cache and what is optional"
            " here.",
            panel="This machine",
        ),
        "bench": Entry(
            "marey.cli.bench:bench_app", "How fast this machine is.", panel="This machine"
        ),
        "cache": Entry(
            "marey.cli.cache:cache",
            "Show what is kept and can be made or fetched again, and its size; --empty removes it.",
            panel="This machine",
        ),
    }


app = typer.Typer(
    cls=Marey,
    context_settings={"token_normalize_func": lambda name: EARLIER.get(name, name)},
    help="Action recognition from frames to the long tail.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)

TO_BEGIN_WITH = """\
marey: action recognition from frames to the long tail. To begin with:

  marey data init my-videos my-data              what your videos are, as a manifest
  marey train --manifest my-data/manifest.csv    train what suits them; it says what, and why
  marey predict runs/NAME clip.mp4               what happens in a video

Without videos of your own: marey demo. All commands: marey --help"""


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
    """Run a command; an error of ours, or no memory, ends it with status 2, Ctrl-C with 130.

    A server is ended by Ctrl-C and SIGTERM with status 0, whether it answers yet or not.
    """
    write_any_text()
    log = logging.getLogger("marey")
    log.addHandler(TerminalHandler(errors))
    log.setLevel(logging.INFO)
    if reason := too_little():
        _fail(f"the memory is too little: {reason}", "lift the limit (ulimit -v)")
    atexit.register(gc.freeze)  # else all of torch is gone through once more in the end: 0.8 s
    sys.path.append("")  # the current folder, last: recipes may name a class of a file in it
    try:
        with ending() if _serves(sys.argv[1:]) else stopping():
            app(with_values(sys.argv[1:]), prog_name="marey")
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


def _serves(words: Sequence[str]) -> bool:
    return any(Marey.ENTRIES[word].serves for word in words[:1] if word in Marey.ENTRIES)


def _fail(message: str, hint: str) -> NoReturn:
    errors.print(f"[red]error:[/] {escape(message)}")
    if hint:
        errors.print(f"[cyan]hint:[/] {escape(hint)}")
    sys.exit(2)
