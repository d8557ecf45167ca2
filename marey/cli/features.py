"""The command `marey features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from marey.cli import completion
from marey.cli import options as opt
from marey.cli.shared import console, device_or_default, errors, executor_of_a_model, progress_bar
from marey.cli.weights import at_hand, fetch_before
from marey.errors import counted
from marey.jobs.shards import WHOLE


def features(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="folder of a run or release, hf:FOLDER, or a recipe",
            autocompletion=completion.recipes,
        ),
    ],
    overrides: opt.ViewOverrides = None,
    manifest: Annotated[str, typer.Option(help="clips of all splits: a file or a url")] = ...,  # type: ignore[assignment]
    out: Annotated[Path, typer.Option(help="NAME.arrow")] = ...,  # type: ignore[assignment]
    overwrite: opt.Overwrite = False,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="of a recipe; imagenet: the official ones",
            autocompletion=completion.weights,
        ),
    ] = None,
    root: opt.Root = None,
    per: Annotated[
        Literal["frame", "clip", "token"], typer.Option(help="one vector each; token: each place")
    ] = "frame",
    dtype: Annotated[
        Literal["float16", "float32"], typer.Option(help="of the numbers in the file")
    ] = "float16",
    workers: opt.Workers = None,
    batch_size: opt.BatchSize = None,
    device: opt.Device = None,
    download: opt.Download = False,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Write what a trained model sees in every clip into one file, to train on in seconds.

    KEY=VALUE changes the views (test.sampling.num_frames=16).
    """
    from marey.engine.inference.extract import FeatureOptions, extract_features

    device = device_or_default(device)
    if source.startswith("hub:"):
        source = str(at_hand(Path(source), download=download))
    elif download:
        fetch_before(source, weights)
    options = FeatureOptions(
        source=source,
        manifest=manifest,
        out=out,
        weights=weights,
        overrides=tuple(overrides or ()),
        root=root,
        per=per,
        dtype=dtype,
        workers=workers,
        batch_size=batch_size,
        device=device,
    )
    with progress_bar("extracting") as progress:
        made = extract_features(
            options,
            executor=executor_of_a_model(executor, address, workers, device),
            shard=shard,
            progress=progress,
            overwrite=overwrite,
        )
    if made is None:
        console.print(f"{out} comes when the other shards are done too")
        return
    least, most = made.frames
    vectors = f"{most}" if least == most else f"{least} to {most}"
    console.print(f"{counted(made.num_clips, 'clip')}, {vectors} x {made.dim} numbers each")
    if made.missing:
        errors.print(
            f"{counted(len(made.missing), 'clip')} could not be read: in the file, without "
            "features, and counted as missing"
        )
        for row, reason in list(made.missing.items())[:5]:
            errors.print(f"  row {row + 1}: {reason}", markup=False)
    console.print(f"written: {made.path}")
