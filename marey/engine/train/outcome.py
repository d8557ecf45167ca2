"""What a run that has ended came to, in a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from marey.metrics.catalog import Named, headlines


def outcome_in_words(epochs: Sequence[Mapping[str, float]]) -> str:
    """The headline of the last validation and the best of all; of none, the loss.

    Args:
        epochs: the rows of metrics.csv by column.

    >>> rows = [{"epoch": n, "acc/top1": top1} for n, top1 in ((1, 50.0), (2, 75.0), (3, 62.5))]
    >>> outcome_in_words(rows)
    'validation at the end (epoch 3): top-1 62.5 %; the highest was 75.0 % (epoch 2)'
    """
    measured = [(row, named) for row in epochs if (named := _headline(row)) is not None]
    if not measured:
        return f"training loss at the end: {epochs[-1].get('train/loss', math.nan):.4g}"
    row, named = measured[-1]
    column, metric = named.column, named.metric
    best = max((row for row, _ in measured), key=lambda row: row.get(column, -math.inf))
    words = f"validation at the end (epoch {row['epoch']:.0f}): "
    words += f"{named.title} {metric.text(row[column])}"
    if best.get(column, -math.inf) > row[column]:
        words += f"; the highest was {metric.text(best[column])} (epoch {best['epoch']:.0f})"
    return words


def _headline(row: Mapping[str, float]) -> Named | None:
    """The first number of validation that an epoch has."""
    there = headlines(name for name, value in row.items() if not math.isnan(value))
    return next(iter(there.values()), None)
