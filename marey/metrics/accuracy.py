"""How many answers are right, in percent.

Scores [n k] go with labels int64 [n]; equal scores are ranked by class number, lowest first, so
every number is the same on every machine. A clip without scores (all NaN) is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]


def topk_accuracy(scores: Scores, labels: Labels, k: int = 1) -> float:
    """Percent of clips whose label is among the k highest scores; NaN without clips.

    >>> topk_accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    50.0
    """
    return _percent(ranks(scores, labels) < k)


def joint_accuracy(scores: Mapping[str, Scores], labels: Mapping[str, Labels], k: int = 1) -> float:
    """Percent of clips whose label is among the k highest of every head (EPIC's actions)."""
    return _percent(np.all([ranks(scores[head], labels[head]) < k for head in scores], axis=0))


def class_accuracy(scores: Scores, labels: Labels) -> npt.NDArray[np.float64]:
    """Top-1 accuracy of every class [k] in percent, NaN for a class without clips."""
    num_classes = scores.shape[1]
    right = np.bincount(labels, weights=ranks(scores, labels) < 1, minlength=num_classes)
    total = np.bincount(labels, minlength=num_classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(100 * right / total, dtype=np.float64)


def confusion_matrix(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """Counts [k k]: row is the label, column the answer; clips without scores are left out."""
    num_classes = scores.shape[1]
    known = ~np.isnan(scores).any(axis=1)
    cells = labels[known] * num_classes + scores[known].argmax(axis=1)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def ranks(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """How many classes stand before the label of each clip, int64 [n]; k where it has no scores."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    before = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return np.asarray(np.where(np.isnan(scores).any(axis=1), scores.shape[1], before))


def known_mean(values: npt.NDArray[np.floating]) -> float:
    """The mean of the values that are not NaN; NaN without any."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def _percent(right: npt.NDArray[np.bool_]) -> float:
    return float(100 * right.mean()) if len(right) else float("nan")
