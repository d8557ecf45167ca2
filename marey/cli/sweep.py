"""The command `marey sweep`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from marey.cli import completion
from marey.cli import options as opt
from marey.cli.shared import (
    console,
    device_or_default,
    errors,
    executor_of_a_model,
    progress_bar,
    saved_when_stopped,
)
from marey.cli.tables import AsJson, print_json, print_table
from marey.cli.weights import fetch_before, fetch_start
from marey.errors import counted

if TYPE_CHECKING:
    from marey.engine.experiments.sweep import Sweep, Trial
    from marey.recipes.recipe import Recipe

MOST_SHOWN = 20


def sweep(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="as train takes it; without one, what suits the clips",
            autocompletion=completion.recipes_and_changes,
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=A,B,C]... [KEY=LOW..HIGH]...",
            help="what is tried, lr=1e-4..1e-2 batch_size=8,16; KEY=VALUE is the same in all",
            autocompletion=completion.changes,
        ),
    ] = None,
    manifest: opt.TrainManifests = None,
    val_manifest: opt.ValManifest = None,
    weights: opt.StartWeights = None,
    from_scratch: opt.FromScratch = False,
    epochs: Annotated[
        str | None, typer.Option(metavar="N[,N]...", help="epochs=N, or each of several")
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option("-b", "--batch-size", metavar="N[,N]...", help="batch_size=N, likewise"),
    ] = None,
    amp: opt.Amp = None,
    trials: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="default: all of a grid")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="to compare by; default: save_best of the recipe or val/loss")
    ] = None,
    search: Annotated[
        Literal["grid", "random", "optuna"] | None,
        typer.Option(help="default: a grid where it has no more points than N, else random"),
    ] = None,
    folds: Annotated[
        bool, typer.Option("--folds", help="a trial is a run for each fold of the manifest")
    ] = False,
    lr: Annotated[
        bool, typer.Option("--lr", help="instead: 100 steps at ever higher rates, to find one")
    ] = False,
    work_dir: Annotated[Path | None, typer.Option(help="default: runs/NAME-sweep")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of what is tried")] = 0,
    workers: opt.Workers = None,
    device: opt.Device = None,
    download: opt.Download = False,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    as_json: AsJson = False,
) -> None:
    """Train with several values of some keys, and say which did best on validation."""
    from marey.engine.experiments.search_space import read_axes
    from marey.engine.experiments.sweep import Sweep, run_sweep
    from marey.engine.train.plan import Asked, as_changes, plan

    if recipe and "=" in recipe:
        values, recipe = [recipe, *(values or [])], None
    if stray := [word for word in values or [] if lr and "=" not in word]:
        raise typer.BadParameter(
            f"--lr finds a rate, so it takes none ({stray[0]}); lr={stray[0]} is one for all trials"
        )
    words = {"epochs": epochs, "batch_size": batch_size, "amp": amp}
    options = [f"{key}={text}" for key, text in words.items() if text is not None]
    axes, fixed = read_axes([*(values or []), *options])
    data = as_changes({"data.val": val_manifest, "data.workers": workers})
    if download:
        fetch_before(recipe, weights)
    asked = Asked(
        recipe=recipe,
        manifests=manifest or (),
        changes=[*fixed, *data],
        weights=weights,
        from_scratch=from_scratch,
        device=device,
    )
    run = plan(asked)
    base, say = run.recipe, errors if as_json else console
    for note in run.notes:
        say.print(escape(note))
    if download:
        fetch_start(base)
    if lr:
        if axes or folds or trials:
            raise typer.BadParameter(
                "--lr tries rates alone: leave out other values, folds, trials"
            )
        _print_rates(base, device, as_json=as_json)
        return
    planned = Sweep(
        recipe=base,
        axes=axes,
        metric=metric or base.save_best or "val/loss",
        trials=trials,
        search=search,
        folds=folds,
        seed=seed,
        device=device,
    )
    folder = work_dir or Path("runs") / f"{base.name}-sweep"
    for axis in axes:
        say.print(escape(str(axis)))
    by = executor_of_a_model(executor, address, workers, device_or_default(device))
    with saved_when_stopped():
        ranked = run_sweep(planned, folder, executor=by, say=lambda text: say.print(escape(text)))
    if as_json:
        print_json([asdict(trial) for trial in ranked])
    else:
        _print_trials(planned, ranked)
    given = [*([recipe] if recipe else []), *fixed, *ranked[0].values]
    given += [word for path in manifest or [] for word in ("--manifest", path)]
    given += ["--val-manifest", val_manifest] if val_manifest else []
    given += ["--weights", weights] if weights else []
    given += ["--from-scratch"] * from_scratch + ["--folds"] * folds
    say.print(f"marey train {escape(shlex.join(given))}")
    say.print(f"written: {folder / 'trials.csv'}")


def _print_trials(plan: Sweep, ranked: Sequence[Trial]) -> None:
    """Print the best trials, and what the best number is worth."""
    from marey.engine.report.pages import of_numbers

    metric, rows = plan.named.metric, []
    for trial in ranked[:MOST_SHOWN]:
        cells = [trial.folder_name, *(value.partition("=")[2] for value in trial.values)]
        number = metric.number(trial.value, digits=2)
        epoch = "" if trial.epoch is None else str(trial.epoch)
        rows.append([*cells, "failed" if trial.fault else number, epoch])
    header = ("trial", *(axis.key for axis in plan.axes), plan.named.column, "epoch")
    print_table(of_numbers(rows, header))
    if len(ranked) > MOST_SHOWN:
        console.print(f"and {len(ranked) - MOST_SHOWN} more in trials.csv")
    clips = "the folds" if plan.folds else "split val"
    console.print(
        f"the best of {counted(len(ranked), 'number')} on {clips} is optimistic, as it chose them: "
        "other clips, of split test, say how good they are"
    )


def _print_rates(recipe: Recipe, device: str | None, *, as_json: bool) -> None:
    """Print the loss at ever higher rates, and a rate to begin with."""
    from marey.engine.experiments.lr_range import range_test
    from marey.engine.report.pages import of_numbers

    with progress_bar("trying rates") as progress:
        found = range_test(recipe, device=device, progress=progress)
    if as_json:
        print_json(found)
        return
    every = max(len(found.rates) // 15, 1)
    tried = [*zip(found.rates, found.losses, strict=True)][::every]
    rows = [(f"{rate:.2g}", f"{loss:.4g}") for rate, loss in tried]
    print_table(of_numbers(rows, ("lr", "mean loss")))
    console.print(f"the loss is lowest at lr={found.best:.2g}; begin with a tenth of it:")
    console.print(f"lr={found.suggested:.2g}")
