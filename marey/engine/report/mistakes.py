"""Where a model errs: who is taken for whom, and which mistakes it is surest of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marey.engine.report.evaluations import HeadResult
from marey.engine.report.pages import Table, percent
from marey.metrics.groups import Groups


@dataclass(frozen=True)
class Confusion:
    """`count` clips of class `true` were taken for class `predicted`, a `share` of that class."""

    true: str
    predicted: str
    count: int
    share: float


def most_confused(
    counts: np.ndarray,
    classes: tuple[str, ...],
    limit: int,
    *,
    true: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
) -> list[Confusion]:
    """The pairs with most clips off the diagonal, ties by the larger share of the class.

    Of these true and these predicted classes (int64) alone, if they are given.
    """
    wrong = counts - np.diag(np.diag(counts))
    if true is not None:
        wrong = wrong * np.isin(np.arange(len(counts)), true)[:, None]
    if predicted is not None:
        wrong = wrong * np.isin(np.arange(len(counts)), predicted)
    shares = wrong / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    order = np.lexsort((-shares.ravel(), -wrong.ravel()))[:limit]
    pairs = [divmod(int(cell), len(classes)) for cell in order]
    return [
        Confusion(classes[i], classes[j], int(wrong[i, j]), float(shares[i, j]))
        for i, j in pairs
        if wrong[i, j]
    ]


def confusion_table(
    head: HeadResult,
    limit: int,
    *,
    true: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
) -> Table:
    """The most confused pairs of a head, as `most_confused` finds them."""
    pairs = most_confused(head.confusions, head.classes, limit, true=true, predicted=predicted)
    rows = [(c.true, c.predicted, c.count, percent(100 * c.share)) for c in pairs]
    return Table(("true class", "taken for", "clips", "of its clips"), rows, numbers={2, 3})


def between_groups(counts: np.ndarray, groups: Groups) -> np.ndarray:
    """Clips of each group [g] that are right, or taken for another class of each, int64 [g 1+g]."""
    of = [classes for _, classes in groups]
    right = np.array([np.diag(counts)[true].sum() for true in of])
    taken = np.array([[counts[np.ix_(true, answer)].sum() for answer in of] for true in of])
    return np.column_stack([right, taken - np.diag(right)])


def hardest_classes(counts: np.ndarray, limit: int) -> np.ndarray:
    """The `limit` classes that take part in most errors, int64, in the order of the classes."""
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-errors, kind="stable")[:limit])


def confident_mistakes(head: HeadResult, limit: int) -> np.ndarray:
    """The rows of the wrong answers with the highest probability, the surest first, int64."""
    wrong = np.flatnonzero(~head.right)
    return wrong[np.argsort(-head.confidences[wrong], kind="stable")[:limit]]
