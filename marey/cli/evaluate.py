"""The command `marey eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from marey.cli import options as opt
from marey.cli.ensemble import evaluate_ensemble, models_and_overrides
from marey.cli.metric_tables import print_metrics
from marey.cli.shared import console, device_or_default, errors, executor_of_a_model, progress_bar
from marey.jobs.shards import WHOLE


def evaluate(
    model: Annotated[
        Path, typer.Argument(help="folder of a run or release, or a dump of predictions")
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]... [KEY=VALUE]...",
            help="more models, for an ensemble; then what changes the test views",
        ),
    ] = None,
    manifest: Annotated[
        list[str] | None,
        typer.Option(help="default: that of the run; of several models one for each, or for all"),
    ] = None,
    split: opt.Split = "val",
    train_manifest: Annotated[
        Path | None, typer.Option(help="counts its training clips; default: as the run counted")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="test views by name: marey recipes protocols lists them")
    ] = None,
    segments: opt.Segments = None,
    groups: Annotated[
        Literal["paper", "release", "videolt"], typer.Option(help="rule for head, tail and few")
    ] = "paper",
    reconstruction: Annotated[
        bool, typer.Option("--reconstruction", help="also: what LMR rebuilds rare classes from")
    ] = False,
    weights_of: Annotated[
        str | None, typer.Option(metavar="W,W...", help="of several models; default: equal")
    ] = None,
    average: Annotated[
        Literal["logits", "probs"] | None,
        typer.Option(help="over several models; default: as over their views"),
    ] = None,
    row: Annotated[
        str | None, typer.Option(help="the published ensemble that the models are to be")
    ] = None,
    name: Annotated[str | None, typer.Option(help="folder in RUN/results; default: SPLIT")] = None,
    out: Annotated[Path | None, typer.Option(help="default: MODEL/results/NAME")] = None,
    workers: opt.Workers = None,
    batch_size: opt.BatchSize = None,
    device: opt.Device = None,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Score every view of every clip; KEY=VALUE changes the test views (test.crop=...).

    Of several models, the weighted mean of their scores: an ensemble.
    """
    from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
    from marey.engine.inference.predictions import metrics_of_dump
    from marey.engine.results_file import read_results
    from marey.engine.weights.origin import Origin

    others, overrides = models_and_overrides(more or [])
    is_dump = model.suffix == ".parquet"
    is_ensemble = bool(others or weights_of or average or row)
    if is_dump and not is_ensemble:
        for head, metrics in metrics_of_dump(model).items():
            print_metrics(metrics, {}, title=head)
        return
    if len(manifest or []) > 1 and not is_ensemble:
        raise typer.BadParameter(f"{len(manifest or [])} manifests for one model, expected one")
    device = device_or_default(device)
    options = EvalOptions(
        folder=model,
        manifest=manifest[0] if manifest else None,
        split=split,
        protocol=protocol,
        segments=segments,
        overrides=tuple(overrides),
        workers=workers,
        batch_size=batch_size,
        device=device,
    )
    if is_ensemble:
        if reconstruction:
            raise typer.BadParameter("--reconstruction is of one model")
        evaluate_ensemble(
            [model, *others],
            options,
            manifests=manifest or [],
            weights=weights_of,
            average=average,
            row=row,
            out=out,
            name=name or split,
            train_manifest=train_manifest,
            rule=groups,
            executor=executor_of_a_model(executor, address, workers, device),
            shard=shard,
        )
        return
    if model.is_file():  # one checkpoint of a run, beside the results of its best
        results, tested = Origin(file=model).folder / "results", f"{model.stem}-{split}"
    else:
        results, tested = model / "results", split
    with progress_bar("evaluating") as progress:
        result, path = evaluate_folder(
            options,
            out or results / (name or tested),
            train_manifest=train_manifest,
            rule=groups,
            executor=executor_of_a_model(executor, address, workers, device),
            shard=shard,
            progress=progress,
        )
    if result is None:
        console.print(f"{path} is there when all shards are done")
        return
    print_metrics(result.metrics, result.named_estimates, title=f"{len(result.manifest)} clips")
    if words := read_results(path).other_segments:
        console.print(words)
    for source, part in result.by_source.items():
        print_metrics(part.metrics, {}, title=f"{source}, {len(part.manifest)} clips")
    for head in result.scores:
        if grouped := result.trained_on.groups(head):
            console.print(f"groups of {head} by {grouped.rule}")
    if result.missing:
        errors.print(
            f"{len(result.missing)} clips could not be read and count as wrong; see {path}"
        )
    console.print(f"written: {path}")
    if reconstruction:
        from marey.engine.inference.reconstruction import reconstruct_folder

        with progress_bar("reconstructing") as progress:
            written = reconstruct_folder(
                model,
                train_manifest=train_manifest,
                workers=workers,
                batch_size=batch_size,
                device=device,
                progress=progress,
            )
        console.print(f"written: {written}")
