"""Groups of clips dealt out to sides or folds, so that each gets its share of every class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def deal(
    labels: np.ndarray,
    groups: np.ndarray,
    shares: Sequence[float] | np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Part of each row, a place in `shares`, int64 [n]; one for all rows of a group (int64 [n]).

    Groups are dealt out from the largest to the smallest, equal ones class by class, each to the
    part whose classes it brings nearest to its share of the rows of every class; of parts that are
    alike in that, to the one that lacks most rows.
    """
    num_groups, num_classes = groups.max() + 1, labels.max() + 1
    sizes = np.bincount(groups, minlength=num_groups)
    rows_of = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    first = np.array([labels[rows[0]] for rows in rows_of])
    order = rng.permutation(num_groups)
    order = order[np.lexsort((first[order], -sizes[order]))]
    # missing[s, k]: rows of class k that part s still lacks
    missing = np.outer(shares, np.bincount(labels, minlength=num_classes))
    lacking = missing.sum(axis=1)
    part_of = np.zeros(num_groups, np.int64)
    parts = np.flatnonzero(shares)
    for group in order:
        classes, counts = np.unique(labels[rows_of[group]], return_counts=True)
        need = missing[:, classes] @ counts  # falls of |missing - counts|^2, but for a constant
        nearest = np.lexsort((-lacking[parts].round(6), -need[parts].round(6)))
        part = parts[nearest[0]]
        missing[part, classes] -= counts
        lacking[part] -= sizes[group]
        part_of[group] = part
    _fill_empty(part_of, order, parts)
    dealt: np.ndarray = part_of[groups]
    return dealt


def _fill_empty(part_of: np.ndarray, order: np.ndarray, parts: np.ndarray) -> None:
    """Give a part without a group the smallest of the first, which keeps at least one."""
    for part in parts:
        first = order[part_of[order] == 0]
        if part and not (part_of == part).any() and len(first) > 1:
            part_of[first[-1]] = part
