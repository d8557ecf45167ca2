"""LDAM: rare classes must win by a larger margin (Cao et al., arXiv 1906.07413).

    L = -log e^{s (z_y - m_y)} / (e^{s (z_y - m_y)} + sum_{j != y} e^{s z_j})
    m_j = C / n_j^(1/4),   C such that the largest margin is `max_margin`

Its second half, deferred re-weighting (DRW), is a second stage of a recipe and no code: first
`LDAM()`, then `LDAM(beta=0.9999)` at a low rate (`marey.recipes.longtail.deferred`).

A class without training clips has margin 0: no clip ever has to win it.

**Deviates**: the released code scores by cosines and therefore needs s = 30; a model's scores
here are linear and have a scale of their own, so s is 1 unless one says more. Weighted losses are
averaged over the clips, not over their weights, so that half batches add up to the batch. Of a
mixed label [b k] every class has its share of its margin: z - y m.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.longtail.class_balanced import class_weights
from marey.longtail.objective import PerHead, distributions
from marey.types import check_numbers


@dataclass(frozen=True)
class LDAM(PerHead):
    """Cross-entropy with a margin that grows as a class gets rarer; `beta` weighs the classes.

    `beta` 0 weighs all alike, 0.9999 is the re-weighting of DRW (`ClassBalancedLoss`).
    """

    max_margin: float = 0.5
    scale: float = 1.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, max_margin=self.max_margin)
        check_numbers(above=0, scale=self.scale)
        check_numbers(at_least=0, below=1, beta=self.beta)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return SoftmaxLDAM(counts, self.max_margin, self.scale, self.beta)


class MarginLoss(nn.Module):
    """The margins and weights of one head's classes, which softmax and sigmoid form share."""

    margins: Tensor
    weights: Tensor

    def __init__(self, counts: Tensor, max_margin: float, scale: float, beta: float) -> None:
        super().__init__()
        margins, weights = class_margins(counts, max_margin), class_weights(counts, beta)
        self.register_buffer("margins", margins.float(), persistent=False)
        self.register_buffer("weights", weights.float(), persistent=False)
        self.scale = scale


class SoftmaxLDAM(MarginLoss):
    """See `LDAM`; of one head."""

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, for class indices [b] or distributions [b k]."""
        y = distributions(target, scores)
        log_p = F.log_softmax(self.scale * (scores - y * self.margins), dim=1)
        return -(y * self.weights * log_p).sum(dim=1).mean()


def class_margins(counts: Tensor, max_margin: float) -> Tensor:
    """Margins float64 [k] ~ n^(-1/4) of counts int64 [k]; the rarest class has `max_margin`.

    >>> class_margins(torch.tensor([16, 1, 0]), 0.5)
    tensor([0.2500, 0.5000, 0.0000], dtype=torch.float64)
    """
    root = counts.double().clamp(min=1) ** -0.25
    margins = torch.where(counts > 0, root, 0.0)
    return margins * max_margin / margins.max().clamp(min=torch.finfo(torch.float64).tiny)
