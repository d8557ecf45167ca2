"""What the answers of one head say: who is taken for whom, how sure it is, where it errs.

Calibration is that of Guo et al., "On Calibration of Modern Neural Networks" (arXiv:1706.04599):
clips in bins of equal width by the probability of the answer; the error is the mean distance of
accuracy and confidence, weighted by the clips of a bin (eq. 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marey.engine.plots import Bin
from marey.engine.runfiles import HeadResult


@dataclass(frozen=True)
class Confusion:
    """`count` clips of class `true` were taken for class `predicted`, a `share` of that class."""

    true: str
    predicted: str
    count: int
    share: float


def confusion_counts(head: HeadResult) -> np.ndarray:
    """Clips by true and predicted class, int64 [k k]."""
    k = len(head.classes)
    return np.bincount(head.labels * k + head.answers, minlength=k * k).reshape(k, k)


def most_confused(counts: np.ndarray, classes: tuple[str, ...], limit: int) -> list[Confusion]:
    """The pairs with most clips off the diagonal, ties by the larger share of the class."""
    wrong = counts - np.diag(np.diag(counts))
    shares = wrong / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    order = np.lexsort((-shares.ravel(), -wrong.ravel()))[:limit]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        Confusion(classes[i], classes[j], int(wrong[i, j]), float(shares[i, j]))
        for i, j in pairs
        if wrong[i, j]
    ]


def hardest_classes(counts: np.ndarray, limit: int) -> np.ndarray:
    """The `limit` classes that take part in most errors, int64, in the order of the classes."""
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-errors, kind="stable")[:limit])


def class_accuracies(counts: np.ndarray) -> np.ndarray:
    """The share of each class that is recognised in percent, float64 [k]; NaN without clips."""
    totals = counts.sum(axis=1)
    return np.where(totals > 0, 100 * np.diag(counts) / np.maximum(totals, 1), np.nan)


def calibration(head: HeadResult, num_bins: int = 10) -> list[Bin]:
    """Clips in `num_bins` bins of equal width by confidence."""
    right = head.answers == head.labels
    place = np.clip((head.confidences * num_bins).astype(int), 0, num_bins - 1)
    bins = []
    for i in range(num_bins):
        inside = place == i
        count = int(inside.sum())
        sure = float(head.confidences[inside].mean()) if count else 0.0
        accuracy = float(right[inside].mean()) if count else 0.0
        bins.append(Bin(i / num_bins, (i + 1) / num_bins, count, sure, accuracy))
    return bins


def calibration_error(bins: list[Bin]) -> float:
    """The expected calibration error in percent; NaN without clips."""
    total = sum(b.count for b in bins)
    gap = sum(b.count * abs(b.accuracy - b.confidence) for b in bins)
    return 100 * gap / total if total else float("nan")


def confident_mistakes(head: HeadResult, limit: int) -> np.ndarray:
    """The rows of the wrong answers with the highest probability, the surest first, int64."""
    wrong = np.flatnonzero(head.answers != head.labels)
    return wrong[np.argsort(-head.confidences[wrong], kind="stable")[:limit]]
