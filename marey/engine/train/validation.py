"""Validation within training, and the test at its end: all processes share the clips.

    batches   [0] [1] [2] [3] [4]     as one process makes them
    process    0   1   0   1   0      that scores them

A clip is in the same batch whoever scores it, so the numbers are those of one process: to the bit
on the CPU and with one kind of GPU. Scores are gathered, and process 0 counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.scoring import ScoreArrays, check_heads, clips_at_once, score_clips
from marey.engine.runtimes.scorer import Scorer
from marey.engine.train.best_epoch import training_counts
from marey.engine.train.distributed import World
from marey.engine.train.stop_signals import StopAsked, StopFlag
from marey.errors import counted, first_few
from marey.models.video_model import VideoModel
from marey.recipes.recipe import Recipe
from marey.recipes.val_views import val_views, views_in_words


def validate(
    model: VideoModel,
    recipe: Recipe,
    train_set: Manifest,
    val_set: Manifest | None,
    *,
    world: World,
    stop: StopFlag,
) -> dict[str, float]:
    """The metrics of `val_set` under the recipe's views of validation; none but for process 0.

    StopAsked in all processes if one is asked to stop.
    """
    if val_set is None:
        return {}
    trained_on = training_counts(train_set)
    views = by_val_views(recipe)
    world.share_buffers(model)
    scorer = model.eval().with_frames(views.test.sampling.frames)
    found = evaluate_together(scorer, val_set, views, trained_on=trained_on, world=world, stop=stop)
    return {} if found is None else found.metrics


def by_val_views(recipe: Recipe) -> Recipe:
    """The recipe that tests as this one validates."""
    return replace(recipe, test=val_views(recipe))


def evaluate_together(
    scorer: Scorer,
    manifest: Manifest,
    recipe: Recipe,
    *,
    trained_on: TrainingCounts,
    world: World,
    stop: StopFlag,
) -> Evaluation | None:
    """As `evaluate`, by all processes; None but for process 0. Every process must call it.

    StopAsked in all processes if one is asked to stop.
    """
    check_heads(scorer, manifest)
    size = clips_at_once(recipe)
    rows = [_rows(len(manifest), size, rank, world.size) for rank in range(world.size)]
    mine = manifest if world.size == 1 else manifest.take(rows[world.rank])

    def work(beat: Callable[[], None]) -> tuple[ScoreArrays, dict[int, str]]:
        def between_batches(*_: int) -> None:
            beat()
            if stop.asked:
                raise StopAsked

        return score_clips(scorer, mine, recipe, device=world.device, progress=between_batches)

    parts = world.side_by_side(work)
    if not world.is_main:
        return None
    several, found = recipe.model.several, _joined(rows, parts)
    return Evaluation(manifest, *found, recipe.test.average, trained_on, several=several)


def validation_in_words(recipe: Recipe, val_set: Manifest | None) -> str:
    """What validation costs: clips x views, and the views of the test."""
    if val_set is None:
        return "no clips validate"
    every = "epoch" if recipe.eval_every == 1 else f"{recipe.eval_every} epochs"
    val, test = views_in_words(val_views(recipe)), views_in_words(recipe.test)
    return f"validates every {every}: {counted(len(val_set), 'clip')} x {val}; the test has {test}"


def unvalidated_in_words(train_set: Manifest, val_set: Manifest | None) -> str:
    """Which classes that are trained have no clip to validate on; "" if all have."""
    if val_set is None:
        return ""
    said = []
    for head, names in train_set.classes.items():
        trained, validated = train_set.class_counts(head), val_set.class_counts(head)
        absent = [names[row] for row in np.flatnonzero((trained > 0) & (validated == 0))]
        if absent:
            said.append(
                f"no clip to validate on of {len(absent)} of {len(names)} classes of '{head}':"
                f" {first_few(absent)}"
            )
    return "; ".join(said)


def _rows(num_clips: int, batch_size: int, rank: int, size: int) -> npt.NDArray[np.int64]:
    """The rows that a process scores: every `size`-th batch."""
    rows = np.arange(num_clips, dtype=np.int64)
    mine: npt.NDArray[np.int64] = rows[rows // batch_size % size == rank]
    return mine


def _joined(
    rows: Sequence[npt.NDArray[np.int64]], parts: Sequence[tuple[ScoreArrays, dict[int, str]]]
) -> tuple[ScoreArrays, dict[int, str]]:
    """The scores of all clips in order, and row -> why a clip could not be read."""
    order = np.argsort(np.concatenate(rows))
    scores = {
        head: np.concatenate([part[head] for part, _ in parts])[order] for head in parts[0][0]
    }
    missing = {
        int(of[row]): why
        for of, (_, part) in zip(rows, parts, strict=True)
        for row, why in part.items()
    }
    return scores, missing
