"""The command `marey eval`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from marey.cli import options as opt
from marey.cli.shared import console, device_or_default, errors, executor_of_a_model, progress_bar
from marey.jobs.shards import WHOLE

if TYPE_CHECKING:
    from marey.metrics.longtail import Estimate


def evaluate(
    model: Annotated[
        Path, typer.Argument(help="folder of a run or release, or a dump of predictions")
    ],
    overrides: opt.Overrides = None,
    manifest: Annotated[str | None, typer.Option(help="default: that of the run")] = None,
    split: opt.Split = "val",
    train_manifest: Annotated[
        Path | None, typer.Option(help="counts its training clips; default: as the run counted")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="test views by name: marey recipes protocols lists them")
    ] = None,
    groups: Annotated[
        Literal["paper", "release", "videolt"], typer.Option(help="rule for head, tail and few")
    ] = "paper",
    reconstruction: Annotated[
        bool, typer.Option("--reconstruction", help="also: what LMR rebuilds rare classes from")
    ] = False,
    name: Annotated[str | None, typer.Option(help="folder in RUN/results; default: SPLIT")] = None,
    out: Annotated[Path | None, typer.Option(help="default: MODEL/results/NAME")] = None,
    workers: opt.Workers = None,
    batch_size: opt.BatchSize = None,
    device: opt.Device = None,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Score every view of every clip; KEY=VALUE changes the test views (test.crop=...)."""
    from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
    from marey.engine.inference.predictions import metrics_of_dump
    from marey.engine.weights.origin import Origin

    if model.suffix == ".parquet":
        for head, metrics in metrics_of_dump(model).items():
            _print_metrics(metrics, {}, title=head)
        return
    device = device_or_default(device)
    options = EvalOptions(
        folder=model,
        manifest=manifest,
        split=split,
        protocol=protocol,
        overrides=tuple(overrides or ()),
        workers=workers,
        batch_size=batch_size,
        device=device,
    )
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
    _print_metrics(result.metrics, result.named_estimates, title=f"{len(result.manifest)} clips")
    for source, part in result.by_source.items():
        _print_metrics(part.metrics, {}, title=f"{source}, {len(part.manifest)} clips")
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


def _print_metrics(
    metrics: Mapping[str, float], estimates: Mapping[str, Estimate], title: str
) -> None:
    from marey.metrics.catalog import find_metric, interval_text

    table = Table("metric", title, "95 % interval", "classes", "clips")
    for name, value in metrics.items():
        named = find_metric(name)
        row = [name, named.metric.number(value, digits=2) if named else f"{value:.4g}"]
        if name in estimates:
            estimate = estimates[name]
            row.append(interval_text(estimate, digits=2))
            row += [f"{estimate.num_classes:,}", f"{estimate.num_clips:,}"]
        table.add_row(*row)
    console.print(table)
