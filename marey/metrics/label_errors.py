"""Clips whose label may be wrong: those a model is confidently of another opinion about.

Confident learning (Northcutt et al., arXiv 1911.00068): the threshold of a class j is how sure the
model is of j on average where the label is j,

    t_j = mean of p_j(x) over the clips x labelled j

and a clip labelled i counts as of class j where p_j(x) >= t_j, the likeliest of such classes. Those
with j != i are suspects, ranked by the margin p_j(x) - p_i(x), the largest first.
The probabilities must be of clips that the model has not learned from.

**Deviates**: the paper then estimates how many labels of each class are wrong and prunes as many.
Of a few clips a class that estimate is noise, so all suspects are listed for a person to look at.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from marey.metrics.accuracy import Labels, Scores


class Suspect(NamedTuple):
    """A clip by its row, and the class that it looks like."""

    row: int
    looks_like: int
    margin: float
    """How much surer the model is of that class than of the label, 0 to 1."""


def label_suspects(probabilities: Scores, labels: Labels) -> list[Suspect]:
    """The suspects among clips with probabilities [n k] and labels int64 [n], the surest first.

    >>> sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05]])
    >>> [(s.row, s.looks_like) for s in label_suspects(sure, np.array([0, 0, 1, 1, 1]))]
    [(4, 0)]
    """
    if not len(labels):
        return []
    own = probabilities[np.arange(len(labels)), labels]
    sums = np.bincount(labels, weights=own, minlength=probabilities.shape[1])
    sizes = np.bincount(labels, minlength=probabilities.shape[1])
    thresholds = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
    counted = np.where(probabilities >= thresholds, probabilities, -1.0)
    likeliest = counted.argmax(axis=1)
    margins = counted.max(axis=1) - own
    rows = np.flatnonzero((likeliest != labels) & (margins > 0))
    order = rows[np.argsort(-margins[rows], kind="stable")]
    return [Suspect(int(row), int(likeliest[row]), float(margins[row])) for row in order]
