"""How far a number may be off because other clips could have been tested (Efron, 1979).

The clips are drawn again with replacement, the number is computed anew, many times; the middle 95 %
of what comes out is the interval (percentile bootstrap). An average over classes draws within each
class, so that every class keeps its number of clips. The interval speaks of the clips tested and
not of other classes or of another training. It is too narrow where a class has a handful of clips,
and has no width where all of them are right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

DRAWS = 1000
AT_ONCE = 1 << 21
"""Drawn clips that are held at a time."""


class Interval(NamedTuple):
    """Where a number lies in 95 % of the draws."""

    low: float
    high: float


def interval(draws: Floats, level: float = 0.95) -> Interval:
    """The middle `level` of the numbers [d] that the draws gave; NaN without any.

    >>> [round(end, 6) for end in interval(np.arange(101.0))]
    [2.5, 97.5]
    """
    if not len(draws) or np.isnan(draws).all():
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(draws[~np.isnan(draws)], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def draw_means(values: Floats, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """The mean of each draw of all clips, float64 [draws], of a value a clip [n]."""
    one = np.zeros(len(values), np.int64)
    return draw_class_means(values, one, 1, draws=draws, seed=seed)[:, 0]


def draw_class_means(
    values: Floats, labels: Labels, num_classes: int, *, draws: int = DRAWS, seed: int = 0
) -> Floats:
    """The mean of each class in each draw, float64 [draws k]; NaN for a class without clips.

    `values` [n] are of clips with `labels` [n]: right or wrong, or the difference of two models.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels, minlength=num_classes)
    there = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[there]
    means = np.full((draws, num_classes), np.nan)
    if not len(there):
        return means
    start_of, size_of = np.repeat(starts, sizes[there]), np.repeat(sizes[there], sizes[there])
    ordered = np.asarray(values, np.float64)[order]
    step = max(1, AT_ONCE // len(order))
    for first in range(0, draws, step):
        shares = rng.random((min(step, draws - first), len(order)))
        drawn = ordered[start_of + (shares * size_of).astype(np.int64)]
        means[first : first + step, there] = np.add.reduceat(drawn, starts, axis=1) / sizes[there]
    return means
