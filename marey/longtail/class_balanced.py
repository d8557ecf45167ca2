"""Losses weighted by how many clips of a class there are in effect, and by how hard a clip is.

Clips of a class overlap, so that n of them are worth E_n (Cui et al., arXiv 1901.05555);
each class weighs the inverse, scaled so that the weights of all classes sum to their number:

    E_n = (1 - beta^n) / (1 - beta)        w_c ~ 1 / E_n_c

beta = 0 weighs all alike, beta -> 1 by 1 / n. The focal loss (Lin et al., arXiv 1708.02002)
gives clips that are right already less weight, here for a softmax over the classes:

    L = - sum_c y_c w_c (1 - p_c)^gamma log p_c,    p = softmax(z)

A class without training clips has weight 0 and changes no other weight: only smoothed labels would
ask for it. Mixed labels give the mixture of the losses.

**Deviates**: the weights of 1901.05555 are normalised over all classes, ours over those that have
clips, and the focal loss has no balancing factor alpha besides them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.longtail.objective import PerHead, distributions
from marey.types import check_numbers


@dataclass(frozen=True)
class ClassBalancedLoss(PerHead):
    """Cross-entropy, each class weighted by its effective number of clips (arXiv 1901.05555)."""

    beta: float = 0.9999
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, below=1, beta=self.beta)
        check_numbers(at_least=0, at_most=1, label_smoothing=self.label_smoothing)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return WeightedFocal(class_weights(counts, self.beta), 0.0, self.label_smoothing)


@dataclass(frozen=True)
class Focal(PerHead):
    """Focal loss of a softmax (arXiv 1708.02002); with `beta`, classes are weighted as well.

    `gamma` 0 is cross-entropy, 2 the paper's choice; `beta` 0.9999 makes it the class-balanced
    focal loss of arXiv 1901.05555.
    """

    gamma: float = 2.0
    beta: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, gamma=self.gamma)
        check_numbers(at_least=0, below=1, beta=self.beta)
        check_numbers(at_least=0, at_most=1, label_smoothing=self.label_smoothing)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return WeightedFocal(class_weights(counts, self.beta), self.gamma, self.label_smoothing)


class WeightedFocal(nn.Module):
    """Mean over the clips of the focal loss with class weights [k]."""

    weights: Tensor

    def __init__(self, weights: Tensor, gamma: float, label_smoothing: float) -> None:
        super().__init__()
        self.register_buffer("weights", weights.float(), persistent=False)
        self.gamma, self.label_smoothing = gamma, label_smoothing

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, for class indices [b] or distributions [b k]."""
        y = distributions(target, scores, self.label_smoothing)
        log_p = F.log_softmax(scores, dim=1)
        return -(y * self.weights * focus(log_p, self.gamma) * log_p).sum(dim=1).mean()


def focus(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma, with gradients that stay finite where p rounds to 1 and gamma is below 1."""
    miss = -torch.expm1(log_p)
    return miss.clamp(min=torch.finfo(miss.dtype).tiny) ** gamma


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """Weights float64 [k] ~ (1 - beta) / (1 - beta^n) of counts int64 [k]; sum: classes with clips.

    >>> class_weights(torch.tensor([3, 3, 0]), 0.9)
    tensor([1., 1., 0.], dtype=torch.float64)
    """
    present = counts > 0
    effective = 1 - beta ** counts.double().clamp(min=1)
    weights = torch.where(present, 1 / effective, 0.0)
    return weights * present.sum() / weights.sum().clamp(min=torch.finfo(torch.float64).tiny)
