"""Accuracy of head, tail and few-shot classes, with what it rests on and how sure it is.

Every number is a mean over classes, of those that occur in the test set: over all of them, or over
a group (arXiv 2304.01143). A group none of whose classes is tested is NaN.

**Deviates**: LMR's published code gives -1 for such a group, in shares of 1
(`release_lt_accuracies`), and logs another number while it trains, in which classes that are not
tested count as 0 (`release_epoch_stats`): its logs and its tests do not compare.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from marey.metrics.accuracy import Labels, Scores, class_accuracy, known_mean, ranks, topk_accuracy
from marey.metrics.groups import Classes, Groups
from marey.metrics.intervals import (
    NOTHING,
    Estimate,
    Floats,
    Interval,
    mean_difference_interval,
    mean_share_interval,
    share_interval,
)

ALL = "class_avg"
"""The key of the mean over all classes, beside those of groups."""


def topk_estimate(
    scores: Scores, labels: Labels, _: Groups | None = None, *, k: int = 1
) -> dict[str, Estimate]:
    """`ALL` -> the share of the clips [n k] whose label is among the k highest scores."""
    value = topk_accuracy(scores, labels, k)
    between = share_interval(value, len(labels))
    return {ALL: Estimate(value, *between, len(np.unique(labels)), len(labels))}


def class_accuracy_estimates(
    scores: Scores, labels: Labels, groups: Groups | None = None
) -> dict[str, Estimate]:
    """`ALL` and each group -> mean over its classes of their top-1 accuracies."""
    sizes = np.bincount(labels, minlength=scores.shape[1])
    accuracies = class_accuracy(scores, labels)
    return class_means(accuracies, sizes, groups)


def class_means(values: Floats, sizes: Labels, groups: Groups | None) -> dict[str, Estimate]:
    """`ALL` and each group -> the mean of a share (%) a class [k] of `sizes` clips."""
    return _of_groups(values, sizes, groups, lambda of: mean_share_interval(values[of], sizes[of]))


def class_gains(
    points: Floats, labels: Labels, num_classes: int, groups: Groups | None = None
) -> dict[str, Estimate]:
    """`ALL` and each group -> mean over its classes of the difference of two models a clip [n]."""
    sizes = np.bincount(labels, minlength=num_classes)
    with np.errstate(invalid="ignore"):
        means, squares = (
            np.bincount(labels, weights=points**power, minlength=num_classes) / sizes
            for power in (1, 2)
        )
    return _of_groups(
        means,
        sizes,
        groups,
        lambda of: mean_difference_interval(means[of], squares[of], sizes[of]),
    )


def _of_groups(
    values: Floats, sizes: Labels, groups: Groups | None, interval: Callable[[Classes], Interval]
) -> dict[str, Estimate]:
    def of(classes: Classes) -> Estimate:
        tested = classes[sizes[classes] > 0]
        between = interval(tested) if len(tested) else NOTHING
        clips = int(sizes[tested].sum())
        return Estimate(known_mean(values[tested]), *between, len(tested), clips)

    return {ALL: of(np.arange(len(sizes)))} | {name: of(classes) for name, classes in groups or ()}


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
