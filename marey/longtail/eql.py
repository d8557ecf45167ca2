"""EQL: clips of other classes do not push a rare class down (Tan et al., arXiv 2003.05176).

The softmax equalization loss: a class that is rare and not the answer leaves the
denominator with probability `drop`:

    L = -log e^z_y / sum_k w_k e^z_k,    w_k = 1 - B T_k (1 - y_k)

T_k is 1 for a rare class and else 0, B is 1 with probability `drop`, drawn for each clip and class.
The draws come from torch's generator, as dropout's do.

A class without training clips is rare: clips of other classes hardly push it down, and nothing ever
pulls it up. Mixed labels [b k] keep a class in the denominator by their share of it.

**Deviates**: what is rare is a number of clips, as in VideoLT, and not a share of all clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from marey.longtail.objective import PerHead, distributions
from marey.types import check_numbers


@dataclass(frozen=True)
class EQL(PerHead):
    """Softmax equalization loss; classes of at most `few` clips are rare (arXiv 2003.05176)."""

    few: int = 20
    drop: float = 0.9
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, few=self.few)
        check_numbers(at_least=0, at_most=1, drop=self.drop, label_smoothing=self.label_smoothing)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return SoftmaxEQL(counts <= self.few, self)


class SoftmaxEQL(nn.Module):
    """See `EQL`; of one head, with `rare` bool [k]."""

    rare: Tensor

    def __init__(self, rare: Tensor, spec: EQL) -> None:
        super().__init__()
        self.register_buffer("rare", rare, persistent=False)
        self.drop, self.label_smoothing = spec.drop, spec.label_smoothing

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, for class indices [b] or distributions [b k]."""
        y = distributions(target, scores, self.label_smoothing)
        dropped = torch.rand_like(scores) < self.drop
        kept = kept_share(y, self.rare, dropped)
        return -(y * (scores - (scores + kept.log()).logsumexp(1, keepdim=True))).sum(1).mean()


def kept_share(y: Tensor, rare: Tensor, dropped: Tensor) -> Tensor:
    """w = 1 - B T (1 - y) [b k] of targets [b k], rare bool [k] and draws B bool [b k]."""
    return 1 - (dropped & rare) * (1 - y)
