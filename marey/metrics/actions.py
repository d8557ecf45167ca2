"""EPIC-KITCHENS' actions: a verb and a noun together (arXiv 2006.13256, C1-Action-Recognition).

The score of an action is the product of its verb's and its noun's probability, over all pairs of
classes, those included that no clip shows. The official code ranks the pairs of the 100 best nouns
with all verbs, which leaves the first five as they are.

**Deviates**: LMR's and Motionformer's code has another top-5 under the same name: the verb is among
its own first five and the noun among its own (`joint_accuracy`), which is never less.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
import numpy.typing as npt

from marey.metrics.accuracy import Labels, Scores

Bools = npt.NDArray[np.bool_]


def action_accuracy(
    log_probabilities: Mapping[str, Scores], labels: Mapping[str, Labels], k: int = 1
) -> float:
    """Percent of clips whose classes, one of each head, are among the k likeliest; NaN without any.

    Args:
        log_probabilities: head -> [n classes], NaN for a clip without scores, which is wrong.
        labels: head -> int64 [n].
        k: how many combinations of classes count. Of equal ones that with the lower class of the
            first head comes first.

    >>> verb, noun = np.log([[0.6, 0.4]]), np.log([[0.5, 0.3, 0.2]])
    >>> of = {"verb": verb, "noun": noun}                     # 0.30 0.18 0.12, 0.20 0.12 0.08
    >>> [action_accuracy(of, {"verb": np.array([1]), "noun": np.array([0])}, k) for k in (1, 2)]
    [0.0, 100.0]
    """
    # a combination among the k likeliest has each class among the k likeliest of its head
    best = [_best(scores, labels[head], k) for head, scores in log_probabilities.items()]
    sums, is_label = reduce(_combined, best)
    first = np.argsort(-sums, axis=1, kind="stable")[:, :k]
    right = np.take_along_axis(is_label, first, axis=1)
    return float(100 * right.any(axis=1).mean()) if len(right) else float("nan")


def _best(scores: Scores, labels: Labels, k: int) -> tuple[Scores, Bools]:
    """The k highest of each clip [n k], equal ones by class number, and whether it is the label."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    known = ~np.isnan(scores).any(axis=1, keepdims=True)
    return np.take_along_axis(scores, order, axis=1), (order == labels[:, None]) & known


def _combined(one: tuple[Scores, Bools], other: tuple[Scores, Bools]) -> tuple[Scores, Bools]:
    """The same of all pairs, [n k * k]."""
    n, num_pairs = len(one[0]), one[0].shape[1] * other[0].shape[1]
    sums = (one[0][:, :, None] + other[0][:, None, :]).reshape(n, num_pairs)
    return sums, (one[1][:, :, None] & other[1][:, None, :]).reshape(n, num_pairs)
