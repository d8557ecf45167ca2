"""The command `marey join`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marey.cli import completion
from marey.cli import options as opt
from marey.cli.shared import console, progress_bar
from marey.cli.weights import at_hand


def join(
    head: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="folder of a run or release that was trained on features",
            autocompletion=completion.checkpoints,
        ),
    ],
    out: Annotated[Path, typer.Argument(help="new folder")],
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="run, release or file of the encoder that made them; default: where it was",
            autocompletion=completion.checkpoints,
        ),
    ] = None,
    download: opt.Download = False,
) -> None:
    """Put a model of features behind the encoder that made them: a release that takes videos."""
    from marey.engine.weights.joined import join_release

    source = None if encoder is None else at_hand(encoder, download=download)
    with progress_bar("joining"):
        whole = join_release(head, out, source)
    neck = "" if whole.model.spec.neck is None else ", neck"
    console.print(f"one model: encoder{neck} and heads {', '.join(whole.classes)}")
    console.print(f"written: {out}")
