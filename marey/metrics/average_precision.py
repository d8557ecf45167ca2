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

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marey.metrics.accuracy import Scores
from marey.metrics.bootstrap import DRAWS, Floats, interval
from marey.metrics.groups import Classes, Groups
from marey.metrics.longtail import ALL, Estimate

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
    scores: Scores, targets: Targets, groups: Groups | None = None, *, draws: int = DRAWS
) -> dict[str, Estimate]:
    """`ALL` and each group -> mean AP of its classes with positives, in percent.

    Positives and negatives are drawn again within each class, classes apart from one another;
    copies of a clip count as equal scores.
    """
    rng = np.random.default_rng(0)
    rankings = _rankings(scores, targets)
    precision = np.array([100 * ranking.average_precision for ranking in rankings])
    drawn = np.array([100 * _draw(ranking, draws=draws, rng=rng) for ranking in rankings])
    shown = targets > 0

    def of(classes: Classes) -> Estimate:
        tested = classes[~np.isnan(precision[classes])]
        clips = int(shown[:, tested].any(axis=1).sum())
        if not len(tested):
            return Estimate(float("nan"), *interval(np.empty(0)), 0, 0)
        between = interval(drawn[tested].mean(axis=0))
        return Estimate(float(precision[tested].mean()), *between, len(tested), clips)

    every = of(np.arange(len(precision)))
    return {ALL: every} | {name: of(classes) for name, classes in groups or ()}


def release_mean_average_precision(
    scores: Scores, targets: Targets, groups: Groups
) -> tuple[float, ...]:
    """MAP of all, head, medium and tail as VideoLT prints them: shares of 1, no positives are 0."""
    precision = np.nan_to_num(average_precision(scores, targets))
    return (float(precision.mean()), *(float(precision[classes].mean()) for _, classes in groups))


def hit_at(scores: Scores, targets: Targets, k: int = 1) -> float:
    """Percent of clips of which any class shown is among the k highest scores; NaN without clips.

    Equal scores are ranked by class number.
    """
    first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hit = np.take_along_axis(targets > 0, first, axis=1).any(axis=1)
    known = ~np.isnan(scores).any(axis=1)
    return float(100 * (hit & known).mean()) if len(scores) else float("nan")


def _rankings(scores: Scores, targets: Targets) -> list[Ranking]:
    if scores.shape != targets.shape:
        raise ValueError(f"scores are {scores.shape}, targets {targets.shape}, expected the same")
    return [_ranking(*column) for column in zip(scores.T, targets.T > 0, strict=True)]


def _ranking(scores: Scores, positive: npt.NDArray[np.bool_]) -> Ranking:
    """The ranking of a class by the scores [n] of its clips."""
    order = np.argsort(-scores, kind="stable")  # NaN sorts last
    ranked, hit = scores[order], positive[order]
    # the last clip of each threshold: the next one's score is lower (NaN is equal to NaN)
    last = np.append(~((ranked[1:] == ranked[:-1]) | np.isnan(ranked[:-1])), True)[: len(ranked)]
    reached = hit.cumsum()[last]
    negatives = np.flatnonzero(last) + 1 - reached
    positives = np.diff(reached, prepend=0)
    passed = positives > 0
    return Ranking(positives[passed], negatives[passed], int((~positive).sum()))


def _draw(ranking: Ranking, *, draws: int, rng: np.random.Generator) -> Floats:
    """AP of one class in each draw, [draws]."""
    positives, negatives, num_negatives = ranking
    p = int(positives.sum())
    if not p:
        return np.full(draws, np.nan)
    copies = rng.multinomial(p, positives / p, size=draws)
    # the negatives of a draw fall into the gaps between thresholds as a multinomial does
    gaps = np.diff(negatives, prepend=0, append=num_negatives)
    falls = rng.multinomial(num_negatives, gaps / max(num_negatives, 1), size=draws)
    reached, passed = copies.cumsum(axis=1), falls[:, :-1].cumsum(axis=1)
    precision = reached / np.maximum(reached + passed, 1)
    return np.asarray((copies * precision).sum(axis=1) / p)
