"""Losses of heads that answer yes or no for every class, for clips that show several (VideoLT).

Each is the binary cross-entropy of scores z and targets y in 0..1, both [b k], changed in one way
and averaged over clips and classes (Zhang et al., "VideoLT", arXiv 2105.02668, and its code):

    BinaryCrossEntropy    bce(z, y)
    SigmoidFocal          (1 - p_t)^gamma bce(z, y),  p_t = p y + (1 - p) (1 - y)      1708.02002
    SigmoidClassBalanced  w_c bce(z, y),  w_c ~ (1 - beta) / (1 - beta^n_c)            1901.05555
    SigmoidLDAM           w_c bce(s (z - y M), y),  M = sum_c y_c m_c of the clip      1906.07413
    SigmoidEQL            (1 - B T_c (1 - y)) bce(z, y),  B = 1 with probability drop  2003.05176

Targets may be class indices [b]: then one class says yes and all others no. A class without
training clips has weight 0 where classes are weighted, margin 0, and is rare.

VideoLT's LDAM is a variant of its own: a clip of several classes must win each of them by the sum
of their margins. Its EQL drops with probability 1.76e-3, which is the border of "rare" in EQL's
paper, where B is always 1 (`drop=1`): it is nearly plain cross-entropy, and kept as it is.

**Deviates**: the mean over classes makes gradients k times smaller than the sum that VideoLT takes
with its resampling; raise the rate for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.longtail.class_balanced import class_weights, focus
from marey.longtail.eql import kept_share
from marey.longtail.ldam import MarginLoss
from marey.longtail.objective import PerHead, distributions
from marey.types import check_numbers


class SeveralLabels(PerHead):
    """What the objectives below have in common: each class of a clip is a yes or no of its own."""

    several_labels = True


@dataclass(frozen=True)
class BinaryCrossEntropy(SeveralLabels):
    """Binary cross-entropy of every class."""

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head, whatever the class counts."""
        return WeightedBinary(torch.ones(len(counts)))


@dataclass(frozen=True)
class SigmoidClassBalanced(SeveralLabels):
    """Binary cross-entropy, each class weighted by its effective number of clips."""

    beta: float = 0.9999

    def __post_init__(self) -> None:
        check_numbers(at_least=0, below=1, beta=self.beta)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return WeightedBinary(class_weights(counts, self.beta))


class WeightedBinary(nn.Module):
    """Mean of class weights [k] times the binary cross-entropy of scores [b k]."""

    weights: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights.float(), persistent=False)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, for class indices [b] or multi-hot [b k]."""
        return (self.weights * _bce(scores, distributions(target, scores))).mean()


@dataclass(frozen=True)
class SigmoidFocal(SeveralLabels):
    """Focal loss of every class; VideoLT takes gamma 1."""

    gamma: float = 1.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, gamma=self.gamma)

    def loss(self, counts: Tensor) -> nn.Module:  # noqa: ARG002
        """The loss of a head, whatever the class counts."""
        return BinaryFocal(self.gamma)


class BinaryFocal(nn.Module):
    """See `SigmoidFocal`; a target between 0 and 1 takes its share of both sides."""

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, for class indices [b] or multi-hot [b k]."""
        y, yes, no = distributions(target, scores), F.logsigmoid(scores), F.logsigmoid(-scores)
        losses = y * focus(yes, self.gamma) * yes + (1 - y) * focus(no, self.gamma) * no
        return -losses.mean()


@dataclass(frozen=True)
class SigmoidLDAM(SeveralLabels):
    """Binary cross-entropy with margins; with `beta` 0.9999 it is the second stage of DRW."""

    max_margin: float = 0.5
    scale: float = 30.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, max_margin=self.max_margin)
        check_numbers(above=0, scale=self.scale)
        check_numbers(at_least=0, below=1, beta=self.beta)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return BinaryLDAM(counts, self.max_margin, self.scale, self.beta)


class BinaryLDAM(MarginLoss):
    """See `SigmoidLDAM`; of one head."""

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, for class indices [b] or multi-hot [b k]."""
        y = distributions(target, scores)
        margin = (y * self.margins).sum(dim=1, keepdim=True)
        return (self.weights * _bce(self.scale * (scores - y * margin), y)).mean()


@dataclass(frozen=True)
class SigmoidEQL(SeveralLabels):
    """Binary cross-entropy that spares classes of at most `few` clips some of their negatives."""

    few: int = 100
    drop: float = 1.76e-3

    def __post_init__(self) -> None:
        check_numbers(at_least=0, few=self.few)
        check_numbers(at_least=0, at_most=1, drop=self.drop)

    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these counts, int64 [k]."""
        return BinaryEQL(counts <= self.few, self.drop)


class BinaryEQL(nn.Module):
    """See `SigmoidEQL`; of one head, with `rare` bool [k]."""

    rare: Tensor

    def __init__(self, rare: Tensor, drop: float) -> None:
        super().__init__()
        self.register_buffer("rare", rare, persistent=False)
        self.drop = drop

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar, for class indices [b] or multi-hot [b k]."""
        y = distributions(target, scores)
        dropped = torch.rand_like(scores) < self.drop
        return (kept_share(y, self.rare, dropped) * _bce(scores, y)).mean()


def _bce(scores: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, y, reduction="none")
