"""Where a model errs: who is taken for whom, and which mistakes it is surest of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marey.engine.runfiles import HeadResult


@dataclass(frozen=True)
class Confusion:
    """`count` clips of class `true` were taken for class `predicted`, a `share` of that class."""

    true: str
    predicted: str
    count: int
    share: float


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


def confident_mistakes(head: HeadResult, limit: int) -> np.ndarray:
    """The rows of the wrong answers with the highest probability, the surest first, int64."""
    wrong = np.flatnonzero(head.answers != head.labels)
    return wrong[np.argsort(-head.confidences[wrong], kind="stable")[:limit]]
