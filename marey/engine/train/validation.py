"""Validation within training: process 0 evaluates, the others wait as long as it takes."""

from __future__ import annotations

from collections.abc import Callable

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.evaluate import evaluate
from marey.engine.train.best_epoch import training_counts
from marey.engine.train.distributed import World
from marey.engine.train.stop_signals import StopAsked, StopFlag
from marey.models.video_model import VideoModel
from marey.recipes.recipe import Recipe


def validate(
    model: VideoModel,
    recipe: Recipe,
    train_set: Manifest,
    val_set: Manifest | None,
    *,
    world: World,
    stop: StopFlag,
) -> dict[str, float]:
    """The metrics of `val_set` under the recipe's test views; none for other processes than 0.

    StopAsked in all processes if one that evaluates is asked to stop.
    """
    if val_set is None:
        return {}

    def work(beat: Callable[[], None]) -> dict[str, float]:
        def between_batches(*_: int) -> None:
            beat()
            if stop.asked:
                raise StopAsked

        trained_on, device = training_counts(train_set), world.device
        found = evaluate(
            model, val_set, recipe, device=device, trained_on=trained_on, progress=between_batches
        )
        return found.metrics

    return world.alone(work) or {}
