"""Accuracy of head, tail and few-shot classes, with what it rests on and how sure it is.

Every number is a mean over classes, of those that occur in the test set: over all of them, or over
a group (arXiv 2304.01143). A group none of whose classes is tested is NaN.

**Deviates**: LMR's published code gives -1 for such a group, in shares of 1
(`release_lt_accuracies`), and logs another number while it trains, in which classes that are not
tested count as 0 (`release_epoch_stats`): its logs and its tests do not compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marey.metrics.accuracy import Labels, Scores, class_accuracy, known_mean, ranks
from marey.metrics.bootstrap import (
    DRAWS,
    Floats,
    Interval,
    draw_class_means,
    draw_means,
    interval,
)
from marey.metrics.groups import Classes, Groups

ALL = "class_avg"
"""The key of the mean over all classes, beside those of groups."""


@dataclass(frozen=True)
class Estimate:
    """A number in percent, its 95 % interval, and the tested classes and clips it rests on."""

    value: float
    low: float
    high: float
    num_classes: int
    num_clips: int

    @property
    def interval(self) -> Interval:
        """Both ends; NaN where nothing is tested."""
        return Interval(self.low, self.high)


def top1_estimate(
    scores: Scores, labels: Labels, _: Groups | None = None, *, draws: int = DRAWS
) -> dict[str, Estimate]:
    """`ALL` -> top-1 accuracy; the clips of scores [n k] are drawn again as a whole."""
    right = _right(scores, labels)
    between = interval(draw_means(right, draws=draws))
    return {ALL: Estimate(known_mean(right), *between, len(np.unique(labels)), len(labels))}


def class_accuracy_estimates(
    scores: Scores, labels: Labels, groups: Groups | None = None, *, draws: int = DRAWS
) -> dict[str, Estimate]:
    """`ALL` and each group -> mean over its classes of their top-1 accuracies; see below."""
    right = _right(scores, labels)
    return class_estimates(right, labels, scores.shape[1], groups, draws=draws)


def class_estimates(
    values: Floats,
    labels: Labels,
    num_classes: int,
    groups: Groups | None = None,
    *,
    draws: int = DRAWS,
) -> dict[str, Estimate]:
    """`ALL` and each group -> mean over its classes of their means of a value a clip [n].

    Clips are drawn again within classes. With the difference of two models on the same clips as
    values these are gains (paired draws).
    """
    sizes = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, weights=values, minlength=num_classes)
    drawn = draw_class_means(values, labels, num_classes, draws=draws)

    def of(classes: Classes) -> Estimate:
        tested = classes[sizes[classes] > 0]
        value = known_mean(sums[tested] / sizes[tested])
        between = interval(drawn[:, tested].mean(axis=1) if len(tested) else np.empty(0))
        return Estimate(value, *between, len(tested), int(sizes[tested].sum()))

    return {ALL: of(np.arange(num_classes))} | {name: of(classes) for name, classes in groups or ()}


def _right(scores: Scores, labels: Labels) -> Floats:
    return np.where(ranks(scores, labels) == 0, 100.0, 0.0)


# --- as published -------------------------------------------------------------------------------


def release_lt_accuracies(scores: Scores, labels: Labels, groups: Groups) -> tuple[float, ...]:
    """All, head, tail, few as LMR's test prints them: shares of 1, and -1 for an empty group."""
    per_class = class_accuracy(scores, labels) / 100
    means = [known_mean(per_class), *(known_mean(per_class[classes]) for _, classes in groups)]
    return tuple(-1.0 if np.isnan(mean) else mean for mean in means)


def release_epoch_stats(scores: Scores, labels: Labels, groups: Groups) -> tuple[float, ...]:
    """All, head, tail, few as LMR logs them in training: right / (clips + 0.01) of every class."""
    num_classes = scores.shape[1]
    right = np.bincount(labels, weights=ranks(scores, labels) == 0, minlength=num_classes)
    per_class = right / (np.bincount(labels, minlength=num_classes) + 0.01)
    return (float(per_class.mean()), *(float(per_class[classes].mean()) for _, classes in groups))
