"""Scores that carry the class frequencies while training, so that they need not learn them.

With n_j training clips of class j, of N in all, both are the cross-entropy of shifted scores:

    balanced softmax   -log  n_y e^z_y / sum_j n_j e^z_j          arXiv 2007.10740
    logit adjustment   -log softmax(z + tau log(n / N))_y         arXiv 2007.07314

A softmax is blind to a constant, so the first is the second with tau = 1. At test time the scores
stand alone: what is left is what the classes would be like were they equally frequent.

A class without training clips counts as one with a single clip, since log 0 would make its
probability 0 and the loss of a smoothed label infinite.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from marey.longtail.objective import PerHead
from marey.types import check_numbers


@dataclass(frozen=True)
class BalancedSoftmax(PerHead):
    """Cross-entropy of scores plus the log of the class counts (arXiv 2007.10740)."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, at_most=1, label_smoothing=self.label_smoothing)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return ShiftedCrossEntropy(log_frequencies(counts), self.label_smoothing)


@dataclass(frozen=True)
class LogitAdjustment(PerHead):
    """Cross-entropy of scores plus `tau` times the log of the class frequencies (arXiv 2007.07314).

    `tau` 0 is plain cross-entropy, 1 the paper's choice; above 1 it favours rare classes further.
    """

    tau: float = 1.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(tau=self.tau)
        check_numbers(at_least=0, at_most=1, label_smoothing=self.label_smoothing)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return ShiftedCrossEntropy(self.tau * log_frequencies(counts), self.label_smoothing)


class ShiftedCrossEntropy(nn.Module):
    """Mean cross-entropy of scores [b k] + shift [k]."""

    shift: Tensor

    def __init__(self, shift: Tensor, label_smoothing: float) -> None:
        super().__init__()
        self.register_buffer("shift", shift.float(), persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, for class indices [b] or distributions [b k]."""
        return F.cross_entropy(scores + self.shift, target, label_smoothing=self.label_smoothing)


def log_frequencies(counts: Tensor) -> Tensor:
    """log(n / N) float64 [k] of counts int64 [k], with at least one clip a class."""
    seen = counts.double().clamp(min=1)
    return (seen / seen.sum()).log()
