"""Average precision of clips that may show several classes, and its mean over classes (mAP).

For one class, with the clips by falling score and y the 0/1 targets,

    AP = 1/P * sum over positives i of (positives among the first r_i) / r_i,   r_i the rank of i,

without interpolation. Equal scores keep the order of the clips. A class without a positive has no
AP: it is NaN, and left out of the mean.

**Deviates**: VideoLT's code (arXiv 2105.02668) counts it as 0 in a mean over all classes,
`release_mean_average_precision`. The order of its ties is that of the sort it used.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marey.metrics.accuracy import Scores, known_mean
from marey.metrics.bootstrap import DRAWS, Floats, interval
from marey.metrics.groups import Classes, Groups
from marey.metrics.longtail import Estimate

Targets = npt.NDArray[np.floating] | npt.NDArray[np.integer] | npt.NDArray[np.bool_]
"""[n k], positive where above 0."""
Before = npt.NDArray[np.int64]
"""How many negatives stand before each positive of a class, the highest score first."""


def average_precision(scores: Scores, targets: Targets) -> Floats:
    """AP of every class, float64 [k] from 0 to 1, NaN without a positive.

    A clip without scores (all NaN) stands behind all others.

    >>> average_precision(np.array([[0.9], [0.8], [0.7]]), np.array([[1], [0], [1]])).round(3)
    array([0.833])
    """
    return np.array([_precision(before) for before, _ in _rankings(scores, targets)])


def group_precisions(
    scores: Scores, targets: Targets, groups: Groups | None = None
) -> dict[str, float]:
    """mAP and mAP/NAME of each group in percent; NaN where no class has a positive."""
    per_class = 100 * average_precision(scores, targets)
    named = {f"mAP/{name}": known_mean(per_class[classes]) for name, classes in groups or ()}
    return {"mAP": known_mean(per_class)} | named


def mean_average_precision(
    scores: Scores,
    targets: Targets,
    groups: Groups | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Estimate]:
    """mAP over the classes with positives and mAP/NAME of each group, in percent, with intervals.

    Positives and negatives are drawn again within each class, classes apart from one another;
    copies of a clip count as equal scores.
    """
    rng = np.random.default_rng(seed)
    rankings = _rankings(scores, targets)
    precision = np.array([100 * _precision(before) for before, _ in rankings])
    drawn = np.array([100 * _draw(*ranking, draws=draws, rng=rng) for ranking in rankings])
    shown = targets > 0

    def of(classes: Classes) -> Estimate:
        tested = classes[~np.isnan(precision[classes])]
        clips = int(shown[:, tested].any(axis=1).sum())
        if not len(tested):
            return Estimate(float("nan"), interval(np.empty(0)), 0, 0)
        between = interval(drawn[tested].mean(axis=0))
        return Estimate(float(precision[tested].mean()), between, len(tested), clips)

    named = {"mAP": of(np.arange(len(precision)))}
    return named | {f"mAP/{name}": of(classes) for name, classes in groups or ()}


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


def _rankings(scores: Scores, targets: Targets) -> list[tuple[Before, int]]:
    """Of each class, the negatives before each of its positives [p], and how many there are."""
    if scores.shape != targets.shape:
        raise ValueError(f"scores are {scores.shape}, targets {targets.shape}, expected the same")
    rankings = []
    for column, shown in zip(scores.T, targets.T, strict=True):
        order = np.argsort(-column, kind="stable")  # NaN sorts last
        ranked = shown[order] > 0
        rankings.append((np.cumsum(~ranked)[ranked], int((~ranked).sum())))
    return rankings


def _precision(before: Before) -> float:
    places = np.arange(1, len(before) + 1)
    return float((places / (places + before)).mean()) if len(before) else float("nan")


def _draw(before: Before, num_negatives: int, *, draws: int, rng: np.random.Generator) -> Floats:
    """AP of one class in each draw, [draws]."""
    p = len(before)
    if not p:
        return np.full(draws, np.nan)
    copies = rng.multinomial(p, np.full(p, 1 / p), size=draws)
    # the negatives of a draw fall into the gaps between positives as a multinomial does
    gaps = np.diff(before, prepend=0, append=num_negatives)
    falls = rng.multinomial(num_negatives, gaps / max(num_negatives, 1), size=draws)
    negatives = falls[:, :-1].cumsum(axis=1)
    positives = copies.cumsum(axis=1)
    precision = positives / np.maximum(positives + negatives, 1)
    return np.asarray((copies * precision).sum(axis=1) / p)
