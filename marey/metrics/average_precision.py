"""Average precision of clips that may show several classes, and its mean over classes (mAP).

For one class, with the distinct scores as thresholds from the highest, and y the 0/1 targets,

    AP = 1/P * sum over thresholds t of (positives at t) * (positives >= t) / (clips >= t)

without interpolation, as scikit-learn's `average_precision_score`. Clips of equal scores pass one
threshold together, so the order of the clips does not matter. A class without a positive has no
AP: it is NaN, and left out of the mean.

**Deviates**: VideoLT's code (arXiv 2105.02668) counts it as 0 in a mean over all classes,
`release_mean_average_precision`, and takes equal scores in the order of the sort it used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marey.metrics.accuracy import Scores
from marey.metrics.groups import Classes, Groups
from marey.metrics.intervals import (
    NOTHING,
    Estimate,
    Floats,
    difference_interval,
    effective_number,
    share_interval,
)
from marey.metrics.longtail import ALL, class_means

Targets = npt.NDArray[np.floating] | npt.NDArray[np.integer] | npt.NDArray[np.bool_]
"""[n k], positive where above 0."""
Integers = npt.NDArray[np.int64]


class Ranking(NamedTuple):
    """The clips of one class at the thresholds [t] that any positive passes, the highest first."""

    positives: Integers
    """Positives at each threshold itself."""
    negatives: Integers
    """Negatives at each threshold or above it."""
    num_negatives: int

    @property
    def average_precision(self) -> float:
        """From 0 to 1; NaN without a positive."""
        reached = self.positives.cumsum()
        precision = reached / (reached + self.negatives)
        return float(np.average(precision, weights=self.positives)) if len(reached) else np.nan


def average_precision(scores: Scores, targets: Targets) -> Floats:
    """AP of every class, float64 [k] from 0 to 1, NaN without a positive.

    Args:
        scores: [n k], higher is surer; clips without scores (all NaN) stand behind all others.
        targets: [n k], positive where above 0.

    Raises:
        ValueError: the two are not of one shape.

    >>> average_precision(np.array([[0.9], [0.8], [0.7]]), np.array([[1], [0], [1]])).round(3)
    array([0.833])
    """
    return np.array([ranking.average_precision for ranking in _rankings(scores, targets)])


def class_precision(scores: Scores, targets: Targets) -> Floats:
    """AP of every class in percent, [k]; NaN without a positive."""
    return 100 * average_precision(scores, targets)


def mean_average_precision(
    scores: Scores, targets: Targets, groups: Groups | None = None
) -> dict[str, Estimate]:
    """`ALL` and each group -> mean AP of its classes with positives, in percent.

    The interval takes the AP of a class for a share of its positives (Boyd et al. 2013,
    doi:10.1007/978-3-642-40994-3_29), which is wide rather than narrow.
    """
    shown = targets > 0
    found = class_means(class_precision(scores, targets), shown.sum(axis=0), groups)
    every = np.arange(targets.shape[1])
    clips = {ALL: every, **dict(groups or ())}
    return {
        name: replace(each, num_clips=int(shown[:, clips[name]].any(axis=1).sum()))
        for name, each in found.items()
    }


def mean_precision_gain(
    first: Scores, other: Scores, targets: Targets, groups: Groups | None = None
) -> dict[str, Estimate]:
    """`ALL` and each group -> mAP of `other` less that of `first` on the same clips, in points."""
    shown = targets > 0
    sizes = shown.sum(axis=0)
    points = class_precision(other, targets) - class_precision(first, targets)
    influences = np.zeros(targets.shape)
    for c in np.flatnonzero(sizes):
        two, one = (precision_influence(of[:, c], shown[:, c]) for of in (other, first))
        influences[:, c] = 100 * (two - one)

    def of(classes: Classes) -> Estimate:
        tested = classes[sizes[classes] > 0]
        if not len(tested):
            return Estimate(float("nan"), *NOTHING, 0, 0)
        value = float(points[tested].mean())
        variance = float((influences[:, tested].mean(axis=1) ** 2).sum())
        between = difference_interval(value, variance, effective_number(sizes[tested]))
        return Estimate(value, *between, len(tested), int(shown[:, tested].any(axis=1).sum()))

    return {ALL: of(np.arange(len(sizes)))} | {name: of(classes) for name, classes in groups or ()}


def release_mean_average_precision(
    scores: Scores, targets: Targets, groups: Groups
) -> tuple[float, ...]:
    """MAP of all, head, medium and tail as VideoLT prints them: shares of 1, no positives are 0."""
    precision = np.nan_to_num(average_precision(scores, targets))
    return (float(precision.mean()), *(float(precision[classes].mean()) for _, classes in groups))


def hits(scores: Scores, targets: Targets, k: int = 1) -> npt.NDArray[np.bool_]:
    """Whether any class a clip [n] shows is among its k highest scores; equal ones by number."""
    first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hit = np.take_along_axis(targets > 0, first, axis=1).any(axis=1)
    return np.asarray(hit & ~np.isnan(scores).any(axis=1))


def hit_at(scores: Scores, targets: Targets, k: int = 1) -> float:
    """Percent of clips of which any class shown is among the k highest; NaN without clips."""
    return float(100 * hits(scores, targets, k).mean()) if len(scores) else float("nan")


def hit_estimate(
    scores: Scores, targets: Targets, _: Groups | None = None, *, k: int = 1
) -> dict[str, Estimate]:
    """`ALL` -> `hit_at` k."""
    value, classes = hit_at(scores, targets, k), int((targets > 0).any(axis=0).sum())
    return {ALL: Estimate(value, *share_interval(value, len(scores)), classes, len(scores))}


def precision_influence(scores: Scores, positive: npt.NDArray[np.bool_]) -> Floats:
    """How far the AP of a class would move with the weight of each clip [n], in shares of 1.

    The sum of their squares is the variance of AP if other clips had been drawn (the infinitesimal
    jackknife, Efron 1982); those of two models on the same clips are subtracted first.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hit = scores[order], positive[order].astype(np.float64)
    last = _last_of_equals(ranked)
    ends = np.flatnonzero(last)[np.append(0, last.cumsum()[:-1])]  # of each clip's threshold
    passed, reached = ends + 1.0, hit.cumsum()[ends]
    total = hit.sum()
    precision = reached / passed
    value = (precision * hit).sum() / total
    starts = np.append(0, np.flatnonzero(last) + 1)[np.append(0, last.cumsum()[:-1])]

    def of_lower(each: Floats) -> Floats:
        """The sum over the clips of no higher a score, those of the same included."""
        return np.asarray(each[::-1].cumsum()[::-1][starts])

    gained = of_lower(hit * (passed - reached) / passed**2)
    lost = of_lower(hit * reached / passed**2)
    influence = np.empty(len(scores))
    influence[order] = np.where(hit > 0, precision - value + gained, -lost) / total
    return influence


def _rankings(scores: Scores, targets: Targets) -> list[Ranking]:
    if scores.shape != targets.shape:
        raise ValueError(f"scores are {scores.shape}, targets {targets.shape}, expected the same")
    return [_ranking(*column) for column in zip(scores.T, targets.T > 0, strict=True)]


def _ranking(scores: Scores, positive: npt.NDArray[np.bool_]) -> Ranking:
    """The ranking of a class by the scores [n] of its clips."""
    order = np.argsort(-scores, kind="stable")  # NaN sorts last
    ranked, hit = scores[order], positive[order]
    last = _last_of_equals(ranked)
    reached = hit.cumsum()[last]
    negatives = np.flatnonzero(last) + 1 - reached
    positives = np.diff(reached, prepend=0)
    passed = positives > 0
    return Ranking(positives[passed], negatives[passed], int((~positive).sum()))


def _last_of_equals(ranked: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Whether a clip [n] is the last of its threshold: the next score is lower; NaN equals NaN."""
    return np.append(~((ranked[1:] == ranked[:-1]) | np.isnan(ranked[:-1])), True)[: len(ranked)]
