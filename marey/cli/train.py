"""The command `marey train`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from marey.cli import options as opt
from marey.cli.shared import above_zero, console, errors

LAUNCHERS = {"TORCHELASTIC_RUN_ID", "SLURM_PROCID"}
"""Variables of what ends process 0 when another one has ended, which then has to wait."""
SPEAK_SECONDS = 5.0
"""How long process 0 may need to say what is wrong."""


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="name, YAML file or folder of a run or release; +crt: a second stage"),
    ] = None,
    overrides: opt.Overrides = None,
    manifest: Annotated[
        list[str] | None, typer.Option(help="file or url to train on; several are joined")
    ] = None,
    val_manifest: Annotated[str | None, typer.Option(help="default: split val of it")] = None,
    work_dir: Annotated[Path | None, typer.Option(help="default: runs/NAME")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="[PATH]", help="go on from the latest, or from PATH")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="to start from: file, run or release; imagenet: the official ones"
        ),
    ] = None,
    workers: opt.Workers = None,
    batch_size: opt.BatchSize = None,
    epochs: Annotated[
        int | None, typer.Option(min=0, help="of a recipe of one stage; KEY=VALUE for others")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(parser=above_zero, metavar="RATE", help="of one stage, likewise")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="of everything random")] = None,
    amp: opt.Amp = False,
    device: opt.Device = None,
    save_steps: Annotated[int | None, typer.Option(min=1, help="save this often as well")] = None,
    test: Annotated[
        bool, typer.Option("--test", help="when trained, test the best weights by the test views")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet")] = False,
) -> None:
    """Train a recipe; several processes by torchrun or srun, without another flag."""
    from marey.engine.train.distributed import LoneError, find_ranks
    from marey.errors import MareyError

    if recipe and "=" in recipe:
        overrides, recipe = [recipe, *(overrides or [])], None
    options = {
        "data.train": manifest[0] if manifest else None,
        "data.more": manifest[1:] if manifest else None,
        "data.val": val_manifest,
        "weights": weights,
        "data.workers": workers,
        "batch_size": batch_size,
        "epochs": epochs,
        "lr": lr,
        "seed": seed,
        "amp": amp or None,
    }
    is_main = find_ranks(os.environ).rank == 0
    log = logging.getLogger("marey")
    log.disabled = not is_main
    try:
        _train(
            recipe,
            [*(overrides or []), *_as_overrides(options)],
            work_dir,
            resume,
            device=device,
            save_steps=save_steps,
            test=test,
            quiet=quiet,
            speaks=is_main,
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
    recipe: str | None,
    overrides: Sequence[str],
    work_dir: Path | None,
    resume: str | None,
    *,
    device: str | None,
    save_steps: int | None,
    test: bool,
    quiet: bool,
    speaks: bool,
) -> None:
    """Find the recipe and the checkpoint that are meant, and train.

    speaks: whether this process is the one of several that says what all do.
    """
    from marey.engine.train.loop import train as run_training
    from marey.engine.train.stop_signals import Stopped
    from marey.engine.weights.checkpoint import last_checkpoint
    from marey.engine.weights.origin import read_run_recipe
    from marey.errors import RunError
    from marey.recipes.catalog import find
    from marey.recipes.val_views import following_test, override_with_val

    checkpoint = None if resume in (None, "latest") else Path(resume)
    if resume and work_dir is None and checkpoint is None:
        if recipe is None:
            raise RunError("--resume of which run?", "give its folder: --work-dir RUN")
        if Path(recipe).is_dir():
            work_dir, recipe = Path(recipe), None
    if work_dir is None:
        work_dir = checkpoint.parent.parent if checkpoint else Path("runs") / find(recipe).name
    if resume == "latest":
        checkpoint = last_checkpoint(work_dir)
    chosen = find(recipe) if recipe else read_run_recipe(work_dir)
    if not resume:
        chosen = following_test(chosen)
    if recipe and checkpoint and not chosen.data.train:
        chosen = replace(chosen, data=read_run_recipe(work_dir).data)
    if resume and checkpoint is None and speaks and not quiet:
        console.print(f"nothing is saved in {work_dir} yet: starting from the beginning")
    try:
        run_training(
            override_with_val(chosen, overrides),
            work_dir,
            resume=checkpoint,
            device=device,
            save_steps=save_steps,
            test=test,
            quiet=quiet,
        )
    except Stopped as stop:
        if speaks:
            again = f"marey train --resume --work-dir {stop.work_dir}{' --test' if test else ''}"
            errors.print(f"stopped and saved. Go on with: {again}")
        raise typer.Exit(130) from None
    if speaks:
        console.print(f"trained: {work_dir}")


def _as_overrides(options: Mapping[str, object]) -> list[str]:
    """Options that were given, as `key=value` in YAML."""
    import json

    return [
        f"{key}={json.dumps(str(value) if isinstance(value, Path) else value)}"
        for key, value in options.items()
        if value is not None
    ]


def resume_latest(words: list[str]) -> list[str]:
    """`--resume` alone means the latest checkpoint, `--resume PATH` that one."""
    out = list(words)
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else "-"
        if word == "--resume" and not following.endswith(".pt"):
            out[i] = "--resume=latest"
    return out
