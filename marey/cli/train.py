"""The command `marey train`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.cli import completion
from marey.cli import options as opt
from marey.cli.repeats import train_and_print
from marey.cli.shared import above_zero, console, progress_bar, saved_when_stopped
from marey.cli.weights import fetch_before, fetch_start

if TYPE_CHECKING:
    from marey.engine.train.plan import Asked, Plan

LAUNCHERS = {"TORCHELASTIC_RUN_ID", "SLURM_PROCID"}
"""Variables of what ends process 0 when another one has ended, which then has to wait."""
SPEAK_SECONDS = 5.0
"""How long process 0 may need to say what is wrong."""


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="name, YAML file, folder of a run or release, hf:NAME; +lora, +crt: how it learns",
            autocompletion=completion.recipes_and_changes,
        ),
    ] = None,
    overrides: opt.Overrides = None,
    manifest: opt.TrainManifests = None,
    val_manifest: opt.ValManifest = None,
    work_dir: Annotated[Path | None, typer.Option(help="default: runs/NAME")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="[PATH]", help="go on from the latest, or from PATH")
    ] = None,
    weights: opt.StartWeights = None,
    workers: opt.Workers = None,
    batch_size: opt.BatchSize = None,
    epochs: Annotated[
        int | None, typer.Option(min=0, help="of a recipe of one stage; KEY=VALUE for others")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(parser=above_zero, metavar="RATE", help="of one stage, likewise")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="of everything random")] = None,
    amp: opt.Amp = None,
    device: opt.Device = None,
    download: opt.Download = False,
    track: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="TRACKER", help="tensorboard, wandb, mlflow, trackio"),
    ] = None,
    save_steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="save every N steps as well")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="when trained, test it by the test views")
    ] = False,
    from_scratch: opt.FromScratch = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what it would be and how long; write nothing")
    ] = False,
    folds: Annotated[
        bool, typer.Option("--folds", help="train and test once for each fold of the manifest")
    ] = False,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="train N times, by as many seeds")
    ] = 1,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="print warnings and errors alone")
    ] = False,
) -> None:
    """Train a recipe, or what suits the clips where none is named; the latter says why.

    Several processes by torchrun or srun, without another flag.
    """
    from marey.engine.train.distributed import LoneError, find_ranks
    from marey.engine.train.plan import Asked, as_changes
    from marey.errors import MareyError

    if recipe and "=" in recipe:
        overrides, recipe = [recipe, *(overrides or [])], None
    options = {
        "data.val": val_manifest,
        "data.workers": workers,
        "batch_size": batch_size,
        "epochs": epochs,
        "lr": lr,
        "seed": seed,
        "amp": None if amp is None else opt.AMP_VALUES[amp],
    }
    several = folds or seeds > 1
    if several and (test or save_steps or (resume or "latest") != "latest"):
        raise typer.BadParameter("--test, --save-steps and --resume=PATH are of one run")
    words = {"--work-dir": work_dir, "--device": device, "--save-steps": save_steps}
    words |= {"--seeds": seeds if seeds > 1 else None}
    is_main = find_ranks(os.environ).rank == 0
    if download and find_ranks(os.environ).size > 1:
        raise typer.BadParameter("--download is of one process: marey weights get NAME, before")
    log = logging.getLogger("marey")
    log.disabled = not is_main
    try:
        _train(
            Asked(
                recipe=recipe,
                manifests=manifest or (),
                changes=[*(overrides or []), *as_changes(options)],
                weights=weights,
                from_scratch=from_scratch,
                work_dir=work_dir,
                resume="latest" if resume == "latest" else Path(resume) if resume else None,
                device=device,
                words=[
                    *(
                        word
                        for name, value in words.items()
                        if value
                        for word in (name, str(value))
                    ),
                    *["--test"] * test,
                    *["--folds"] * folds,
                ],
            ),
            save_steps=save_steps,
            test=test,
            quiet=quiet,
            folds=folds,
            seeds=seeds,
            speaks=is_main,
            dry=dry_run,
            download=download,
            trackers=track or (),
        )
    except MareyError as error:
        if is_main or isinstance(error, LoneError):
            raise
        if LAUNCHERS & os.environ.keys():
            time.sleep(SPEAK_SECONDS)
        raise typer.Exit(2) from None  # process 0 met the same, or was told, and says it
    finally:
        log.disabled = False


def _train(
    asked: Asked,
    *,
    save_steps: int | None,
    test: bool,
    quiet: bool,
    folds: bool,
    seeds: int,
    speaks: bool,
    dry: bool,
    download: bool,
    trackers: Sequence[str],
) -> None:
    """Train what is asked for, or say what that would be.

    speaks: whether this process is the one of several that says what all do.
    """
    from marey.engine.train.loop import train as run_training
    from marey.engine.train.plan import plan

    if dry and asked.resume is not None:
        raise typer.BadParameter("--dry-run is of a run that is to begin: leave --resume out")
    if download:
        fetch_before(asked.recipe if isinstance(asked.recipe, str) else None, asked.weights)
    with progress_bar("looking at clips") as progress:
        run = plan(asked, progress=None if quiet else progress)
    if download and run.resume is None:
        fetch_start(run.recipe)
    if dry:
        from marey.engine.train.dry_run import dry_run

        for line in (*run.notes, *dry_run(run.recipe, run.work_dir, device=asked.device)):
            console.print(line, markup=False)
        return
    if folds or seeds > 1:
        run = run if asked.resume is None else replace(run, notes=())  # they are of one run
        train_and_print(
            run, folds=folds, seeds=seeds, device=asked.device, quiet=quiet, trackers=trackers
        )
        return

    def go_on(folder: Path) -> str:
        return f"Go on with: marey train --resume --work-dir {folder}{' --test' if test else ''}"

    with saved_when_stopped(go_on, speaks=speaks):
        run_training(
            run.recipe,
            run.work_dir,
            resume=run.resume,
            device=asked.device,
            save_steps=save_steps,
            test=test,
            quiet=quiet,
            notes=run.notes,
            trackers=trackers,
        )
    if speaks and not quiet:
        console.print("next:")
        commands = _next(run)
        width = max(map(len, commands))
        for command, what in commands.items():
            console.print(f"  {command:{width}}  {what}", markup=False)


def _next(run: Plan) -> dict[str, str]:
    """What to do with a run that is trained: command -> what comes of it."""
    from marey.engine.train.end_of_run import splits_to_test
    from marey.errors import ManifestError

    splits: list[str] = []
    with suppress(ManifestError):  # the manifest went away meanwhile; the run is there all the same
        splits = splits_to_test(run.recipe)
    clips = "" if "val" in splits else " --split test" if splits else " --manifest OTHER-CLIPS"
    return {
        f"marey eval {run.work_dir}{clips}": "numbers, with intervals",
        f"marey report {run.work_dir}": "curves and mistakes as a page",
        f"marey predict {run.work_dir} clip.mp4": "what happens in a video",
    }
