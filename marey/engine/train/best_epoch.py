"""Which epoch is chosen, if one is, and when a stage ends early: both by validation.

A single validation of few clips is chance, so the means of the last `Recipe.smooth` validations of
a stage are compared:

    validations   50  58  50  62  58  58            smooth: 3
    means                 53  57  57  59            no epoch is the best before there are three
    best                  x   x   x   x             of equal means the later one

Of equal means the later epoch has learned for longer, and takes the place of the earlier; but it is
no better one, where a stage is waited for (`Recipe.patience`). Single validations (`smooth` 1) are
compared as published code does it: of equal ones the first stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import TrainingCounts
from marey.engine.train.steps import Position
from marey.errors import RecipeError, did_you_mean
from marey.metrics.catalog import find_metric
from marey.recipes.optim import FollowsValidation, Schedule
from marey.recipes.recipe import Recipe


def training_counts(train_set: Manifest) -> TrainingCounts:
    """What says which classes are head, tail and few-shot, by the paper's rule."""
    return TrainingCounts({head: train_set.class_counts(head) for head in train_set.labels})


def is_best(at: Position, metrics: Mapping[str, float], recipe: Recipe) -> bool:
    """Whether the epoch that was validated by `metrics` is the best so far; `at` takes note of it.

    It is by what `recipe.save_best` names, or the loss. Without validation no epoch is.
    """
    named = find_metric(recipe.save_best or "loss")
    if not metrics or named is None:
        return False
    value = metrics[named.key]
    at.recent = [*at.recent, value if named.metric.higher_is_better else -value][-recipe.smooth :]
    if len(at.recent) < recipe.smooth:
        return True
    mean = sum(at.recent) / len(at.recent)
    at.since_best = 0 if mean > at.best else at.since_best + 1
    is_better = mean > at.best or (mean == at.best and recipe.smooth > 1)
    at.best = mean if is_better else at.best
    return is_better


def forget_best(at: Position) -> None:
    """What was measured until now counts no more."""
    at.best, at.recent, at.since_best = -math.inf, [], 0


def reduced(at: Position, schedule: Schedule) -> float:
    """What the rates of the stage are multiplied by, by what its validations gave."""
    named = find_metric(schedule.metric) if isinstance(schedule, FollowsValidation) else None
    if named is None or not isinstance(schedule, FollowsValidation):
        return 1.0
    higher = bool(named.metric.higher_is_better)
    return schedule.after(at.measured, higher_is_better=higher, start=at.reduced)


def follow_anew(at: Position, schedule: Schedule) -> None:
    """Rates stay as `schedule` has come to; what is measured from now on it sees as the first."""
    at.reduced, at.measured = reduced(at, schedule), []


def choice_in_words(recipe: Recipe, val_set: Manifest | None) -> str:
    """Which weights the run will leave, and by what."""
    mean = f"mean of {recipe.smooth} validations" if recipe.smooth > 1 else "single validations"
    by = recipe.save_best or "val/loss"
    words = "the weights at the end are the model"
    if recipe.save_best:
        words = f"best.pt, the epoch of the best {by} ({mean}), is the model"
    if recipe.patience is not None and val_set is not None:
        words += f"; a stage ends after {recipe.patience} validations without a better {by} "
        words += f"({mean})"
    return words


def check_choice(recipe: Recipe, train_set: Manifest, val_set: Manifest | None) -> None:
    """RecipeError if an epoch is to be chosen by what the clips of `val_set` do not have."""
    followed = {
        f"stages.{number}.schedule.metric": stage.schedule.metric
        for number, stage in enumerate(recipe.stages)
        if isinstance(stage.schedule, FollowsValidation)
    }
    asked = {"save_best": recipe.save_best, "patience": recipe.patience} | followed
    given = [f"{key} is {value!r}" for key, value in asked.items() if value]
    if not given:
        return
    if val_set is None:
        raise RecipeError(
            f"{' and '.join(given)}, but there are no clips to validate on",
            "clips of split val in the manifest, or data.val=MANIFEST",
        )
    known = _numbers(recipe, train_set, val_set)
    for key, metric in ({"save_best": recipe.save_best} | followed).items():
        if metric and metric not in known:
            raise RecipeError(
                f"{key} is '{metric}', which these clips do not have", did_you_mean(metric, known)
            )


def _numbers(recipe: Recipe, train_set: Manifest, val_set: Manifest) -> list[str]:
    """The names of the metrics, measured of wrong answers: one clip of each class."""
    heads = {head.name: head.num_classes for head in recipe.model.heads}
    clips = val_set.take(np.unique(np.concatenate([_firsts(val_set.labels[h]) for h in heads])))
    wrong = {head: np.zeros((len(clips), k), np.float32) for head, k in heads.items()}
    metrics = Evaluation(clips, wrong, trained_on=training_counts(train_set)).metrics
    named = [find_metric(key) for key, value in metrics.items() if not np.isnan(value)]
    ours = [each for each in named if each and each.metric.higher_is_better is not None]
    return [*dict.fromkeys(name for each in ours for name in (each.column, each.key))]


def _firsts(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The first clip of each class that occurs, of labels int64 [n] or bool [n k]."""
    if labels.ndim == 2:
        there: npt.NDArray[np.int64] = labels.argmax(axis=0)[labels.any(axis=0)]
        return there
    return np.unique(labels, return_index=True)[1]
