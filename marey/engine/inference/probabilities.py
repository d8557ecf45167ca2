"""What scores mean: how sure a model is of each class. Every probability shown is made here."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

Average: TypeAlias = Literal["logits", "probs"]
"""What the scores of a clip are the mean of, over its views."""


def probabilities(scores: Tensor, *, average: Average, several: bool = False) -> Tensor:
    """Shares of 1 of the scores [... k] of clips; of clips of `several` classes, a chance of each.

    Scores that are a mean of probabilities are such already.

    >>> probabilities(torch.zeros(2), average="logits")
    tensor([0.5000, 0.5000])
    """
    if average == "probs":
        return scores
    return scores.sigmoid() if several else scores.softmax(dim=-1)


def to_average(logits: Tensor, *, average: Average, several: bool) -> Tensor:
    """What of a view's logits [... k] its clip has the mean of."""
    if average == "logits":
        return logits
    return probabilities(logits, average="logits", several=several)


def as_logits(scores: Tensor, *, average: Average, several: bool) -> Tensor:
    """Logits [... k] whose `probabilities` are those of the scores: rules of streams are of these.

    A probability of 0 or 1 is taken for the last number before it, as it has no logit.
    """
    if average == "logits":
        return scores
    if several:
        return scores.logit(eps=torch.finfo(torch.float32).eps)
    return log_probabilities(scores, average=average)


def logits_of_each(logits: Tensor) -> Tensor:
    """Logits [... k], float64, whose sigmoids are the softmax of these: of each class alone.

    >>> logits_of_each(torch.tensor([1.0, 3.0, 4.0]).log()).sigmoid()
    tensor([0.1250, 0.3750, 0.5000], dtype=torch.float64)
    """
    return logits.double().softmax(dim=-1).logit(eps=torch.finfo(torch.float64).eps)


def log_probabilities(scores: Tensor, *, average: Average) -> Tensor:
    """The logarithms [... k] of what clips of one class each have, whose order is the scores'."""
    if average == "logits":
        return scores.log_softmax(dim=-1)
    return scores.clamp_min(torch.finfo(torch.float32).tiny).log()


def at_temperature(scores: Tensor, temperature: float, *, average: Average) -> Tensor:
    """The scores [... k], again of that `average`, of a model whose logits are divided by it.

    A mean of the views' probabilities has no logits but its logarithm, which is divided instead.

    >>> at_temperature(torch.tensor([0.9, 0.1]), 2.0, average="probs")
    tensor([0.7500, 0.2500])
    """
    if average == "logits":
        return scores / temperature
    return (log_probabilities(scores, average=average) / temperature).softmax(dim=-1)
