"""`marey.train`: what the command `marey train` does, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from marey.engine.train import loop
from marey.engine.train.plan import Asked, as_changes, plan
from marey.recipes.recipe import Recipe

File: TypeAlias = str | Path
"""A file, or its url."""


def train(
    recipe: Recipe | str | None = None,
    work_dir: File | None = None,
    *,
    manifest: File | Sequence[File] = (),
    val_manifest: File | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    frames: int | None = None,
    size: int | None = None,
    workers: int | None = None,
    seed: int | None = None,
    changes: Sequence[str] = (),
    weights: File | None = None,
    from_scratch: bool = False,
    resume: Path | Literal["latest"] | None = None,
    device: str | None = None,
    save_steps: int | None = None,
    test: bool = False,
    quiet: bool = False,
    log: Sequence[str] = (),
) -> Path:
    """Train a model of the clips in `manifest`; returns the folder of the run.

    >>> run = marey.train("tsm-r18", manifest="my-data/manifest.csv", epochs=3)  # doctest: +SKIP
    >>> marey.evaluate(run).metrics["acc/top1"]                                  # doctest: +SKIP
    75.0

    Args:
        recipe: a recipe, the name of one, a YAML file, or the folder of a run or release; None
            chooses what suits the clips, the machine and the weights that are here, and says why.
        work_dir: the folder of the run; by default runs/NAME.
        manifest: the clips to train on, a file or a url; several are joined.
        val_manifest: those to validate on; by default the rows of split val.
        epochs, lr: of a recipe of one stage.
        batch_size: clips a process reads at a time.
        frames: of a clip, in training and test.
        size: of the picture, in pixels.
        workers: processes that read clips.
        seed: of everything random.
        changes: ``key=value`` for anything else in the recipe, as on the command line.
        weights: to start from: a file, a run or a release, or "imagenet".
        from_scratch: start from nothing.
        resume: the checkpoint to go on from, or the "latest" of the run in `work_dir`.
        device: "cpu", "cuda" ...; by default the GPU if there is one.
        save_steps: save every so many steps, besides every epoch and every ten minutes.
        test: when it is trained, test it by the test views into results/SPLIT.
        quiet: print nothing; what is said stands in train.log all the same.
        log: trackers that are told of it: "tensorboard", "wandb", "mlflow", "trackio".

    Raises:
        MareyError: the run cannot begin or go on, see `marey.engine.train.loop.train`.
        Stopped: after Ctrl-C or SIGTERM, once the run is saved.
    """
    given = {
        "data.val": None if val_manifest is None else str(val_manifest),
        "data.workers": workers,
        "batch_size": batch_size,
        "epochs": epochs,
        "lr": lr,
        "frames": frames,
        "size": size,
        "seed": seed,
    }
    run = plan(
        Asked(
            recipe=recipe,
            manifests=_texts(manifest),
            changes=[*changes, *as_changes(given)],
            weights=None if weights is None else str(weights),
            from_scratch=from_scratch,
            work_dir=None if work_dir is None else Path(work_dir),
            resume=resume,
            device=device,
        )
    )
    return loop.train(
        run.recipe,
        run.work_dir,
        resume=run.resume,
        device=device,
        save_steps=save_steps,
        test=test,
        quiet=quiet,
        notes=run.notes,
        trackers=log,
    )


def _texts(files: File | Sequence[File]) -> list[str]:
    return [str(files)] if isinstance(files, str | Path) else list(map(str, files))
