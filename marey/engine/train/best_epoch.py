"""Which epoch is the best: by the number of the validation set that the recipe names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import TrainingCounts
from marey.errors import RecipeError, did_you_mean
from marey.metrics.catalog import find_metric, headlines
from marey.recipes.recipe import Recipe


def training_counts(train_set: Manifest) -> TrainingCounts:
    """What says which classes are head, tail and few-shot, by the paper's rule."""
    return TrainingCounts({head: train_set.class_counts(head) for head in train_set.labels})


def worth(metrics: Mapping[str, float], save_best: str, otherwise: float) -> float:
    """The number that is to be greatest, of the key `save_best` or the first headline.

    Less than nothing of a number that is better when it is lower; `otherwise` if nothing was
    validated.
    """
    first = [named for named in headlines(metrics).values() if not named.head]
    named = find_metric(save_best) if save_best in metrics else next(iter(first), None)
    if named is None:
        return otherwise
    return metrics[named.key] if named.metric.higher_is_better else -metrics[named.key]


def check_save_best(recipe: Recipe, train_set: Manifest, val_set: Manifest | None) -> None:
    """RecipeError if `recipe.save_best` is no metric that the clips of `val_set` have."""
    if not recipe.save_best:
        return
    if val_set is None:
        raise RecipeError(
            f"save_best is '{recipe.save_best}', but there are no clips to validate on",
            "clips of split val in the manifest, or data.val=MANIFEST",
        )
    known = _numbers(recipe, train_set, val_set)
    if recipe.save_best not in known:
        raise RecipeError(
            f"save_best is '{recipe.save_best}', which these clips do not have",
            did_you_mean(recipe.save_best, known),
        )


def _numbers(recipe: Recipe, train_set: Manifest, val_set: Manifest) -> list[str]:
    """The keys of the metrics, measured of wrong answers: one clip of each class."""
    heads = {head.name: head.num_classes for head in recipe.model.heads}
    clips = val_set.take(np.unique(np.concatenate([_firsts(val_set.labels[h]) for h in heads])))
    wrong = {head: np.zeros((len(clips), k), np.float32) for head, k in heads.items()}
    metrics = Evaluation(clips, wrong, trained_on=training_counts(train_set)).metrics
    named = [find_metric(key) for key, value in metrics.items() if not np.isnan(value)]
    return [each.key for each in named if each and each.metric.measure]


def _firsts(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The first clip of each class that occurs, of labels int64 [n] or bool [n k]."""
    if labels.ndim == 2:
        there: npt.NDArray[np.int64] = labels.argmax(axis=0)[labels.any(axis=0)]
        return there
    return np.unique(labels, return_index=True)[1]
