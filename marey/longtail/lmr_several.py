"""LMR for clips that show several classes: our own, since none is published.

LMR (`marey.longtail.lmr`) was tried on VideoLT-LT, part of a set whose videos have up to seven
classes, but neither how nor on which labels can be read. This is what its equations become where a
clip i has a set Y_i of classes, each a yes or no of its own:

    (2)  c(i) = max of c(y) over y in Y_i      as much is rebuilt as the rarest of them asks for
    (3)  A(i,j) = [ j is not i, Y_j is not empty, and n(y) > few for all y in Y_j ]
    (7)  y' = M Y, for Y of zeros and ones; the loss is the mean binary cross-entropy of y'

By the maximum, a frequent class beside a rare one does not leave the rare one's clips as few as
they are. By "all" no key carries a few-shot class into others, as in LMR, and one without any class
shows no frequent class that could help. A clip without classes counts as the most frequent: c = h.
Where every clip has one class, c, A, W, R and M are LMR's, and only the loss differs.

Labels that are mixed already (`augment.mixup`) count as a yes from 1/2 on in (2) and (3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from marey.errors import RecipeError
from marey.longtail.lmr import LMR, LMRObjective
from marey.longtail.objective import PerHead
from marey.longtail.sigmoid import BinaryCrossEntropy


@dataclass(frozen=True, kw_only=True)
class SigmoidLMR(LMR):
    """LMR with binary cross-entropy, for clips of any number of classes; options as `LMR`'s."""

    several_labels = True
    loss: PerHead = field(default_factory=BinaryCrossEntropy)

    def build(self, class_counts: Mapping[str, Tensor]) -> SigmoidLMRObjective:
        """The objective, for training sets of these clips a class (int64 [k] for each head)."""
        return SigmoidLMRObjective(self, class_counts)


class SigmoidLMRObjective(LMRObjective):
    """See `SigmoidLMR`."""

    def as_labels(self, y: Tensor, head: str) -> Tensor:
        """Labels of `head` as float [n k], each from 0 to 1."""
        if y.ndim == 1:
            return F.one_hot(y, self.num_classes[head]).float()
        if (y < 0).any() or (y > 1).any():
            raise RecipeError(
                f"labels of '{head}' are {float(y.min()):g} to {float(y.max()):g}, "
                "expected 0 (no) to 1 (yes)"
            )
        return y.float()

    def told(self, labels: Tensor) -> Tensor:
        """Which classes each clip has, bool [n k]."""
        return labels >= 0.5

    def rarity(self, told: Tensor) -> Tensor:
        """c [n]: that of the rarest of a clip's classes, h of a clip without any."""
        return torch.where(told, self.weights, self.spec.h).amax(dim=1)

    def helps(self, told: Tensor) -> Tensor:
        """Which keys may help, bool [m]: those with classes, none of them few-shot."""
        return told.any(dim=1) & ~(told & self.is_few).any(dim=1)
