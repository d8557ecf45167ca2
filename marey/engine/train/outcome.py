"""What a run that has ended came to, in a few lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from marey.engine.results_file import Chosen
from marey.metrics.catalog import Named, headlines


def outcome(chosen: Chosen, epochs: Sequence[Mapping[str, float]]) -> list[str]:
    """Which weights are the model, and their headline; the highest of all epochs if it is higher.

    Where nothing was validated the loss stands for the headline.

    Args:
        chosen: the weights that are the model.
        epochs: the rows of metrics.csv by column.

    >>> rows = [{"epoch": n, "acc/top1": top1} for n, top1 in ((1, 50.0), (2, 75.0), (3, 62.5))]
    >>> print(*outcome(Chosen(how="end", epoch=3, epochs=3), rows), sep="\\n")
    weights at the end of training, epoch 3 of 3: no validation chose them
    validation: top-1 62.5 % (epoch 3); the highest was 75.0 % (epoch 2)
    """
    return [chosen.in_words(), *([_numbers(chosen, epochs)] if epochs else [])]


def _numbers(chosen: Chosen, epochs: Sequence[Mapping[str, float]]) -> str:
    measured = [(row, named) for row in epochs if (named := _headline(row)) is not None]
    if not measured:
        return f"training loss: {epochs[-1].get('train/loss', math.nan):.4g}; no clips validated"
    theirs = [each for each in measured if each[0]["epoch"] == chosen.epoch]
    row, named = (theirs or measured)[-1]
    column, metric = named.column, named.metric
    best = max((row for row, _ in measured), key=lambda row: row.get(column, -math.inf))
    words = f"validation: {named.title} {metric.text(row[column])} (epoch {row['epoch']:.0f})"
    if best.get(column, -math.inf) > row[column]:
        words += f"; the highest was {metric.text(best[column])} (epoch {best['epoch']:.0f})"
    return words


def _headline(row: Mapping[str, float]) -> Named | None:
    """The first number of validation that an epoch has."""
    there = headlines(name for name, value in row.items() if not math.isnan(value))
    return next(iter(there.values()), None)
