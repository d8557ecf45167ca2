"""The command `marey submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli.shared import console


def submit(
    predictions: Annotated[
        Path, typer.Argument(help="of marey predict or eval: NAME.parquet, or a folder of results")
    ],
    out: Annotated[Path, typer.Option(help="the file to write")],
    overwrite: opt.Overwrite = False,
    form: opt.Form = None,
    clips: Annotated[
        str | None, typer.Option("--list", help="all clips that there must be: a list")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="labels a clip, in csv and jsonl")] = 5,
    all_scores: opt.AllScores = False,
    allow_missing: opt.AllowMissing = False,
    sls: opt.Sls = None,
    root: opt.Root = None,
    columns: opt.Columns = None,
    ignore: opt.Ignore = None,
) -> None:
    """Write predictions as another file, or as a submission to a challenge; uploads nothing."""
    from marey.data.lists.wanted_columns import WantedColumns
    from marey.data.manifest.location import Location
    from marey.data.own_videos.unlabelled import read_clips
    from marey.engine.inference.outputs.forms import OutputOptions, form_of
    from marey.engine.inference.outputs.submit import submit_predictions

    output = OutputOptions(
        form=form_of(out, form),
        top=top,
        all_scores=all_scores,
        allow_missing=allow_missing,
        sls=sls,
    )
    wanted = WantedColumns.parse(columns, ignore)
    listed = read_clips(clips, wanted=wanted, at=Location(root)) if clips else None
    for line in listed.lines() if listed else ():
        console.print(escape(line))
    submit_predictions(
        predictions,
        out,
        output,
        listed=listed,
        overwrite=overwrite,
        say=lambda line: console.print(escape(line)),
    )
    console.print(f"written: {out}")
