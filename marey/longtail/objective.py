"""What is minimised: a function of (model, clip, labels), so that a method may work anywhere.

An objective sees the whole model and not just its scores, because long-tail methods work between
`features` and `classify`. It is an `nn.Module`, since it may own state (a memory bank).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.types import Clip, Labels, Scores


class ScoringModel(Protocol):
    """The part of a `VideoModel` that objectives use."""

    def features(self, clip: Clip) -> Tensor:
        """Features [b t d]."""
        ...

    def classify(self, x: Tensor) -> Scores:
        """Scores of every head from features [b t d]."""
        ...

    def __call__(self, clip: Clip) -> Scores:
        """Scores of every head from a clip."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross-entropy over the clips, summed over the heads.

    Takes class indices [b] or distributions [b k]; `label_smoothing` gives that share of the
    probability evenly to all classes (arXiv 1512.00567).
    """

    label_smoothing: float = 0.0

    def build(self, class_counts: Mapping[str, Tensor]) -> CrossEntropyObjective:  # noqa: ARG002
        """The objective; plain cross-entropy does not look at the class counts."""
        return CrossEntropyObjective(self.label_smoothing)


class CrossEntropyObjective(nn.Module):
    """See `CrossEntropy`."""

    def __init__(self, label_smoothing: float) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, model: ScoringModel, clip: Clip, labels: Labels) -> Tensor:
        """The loss, a scalar in float32 whatever the scores are in."""
        scores = model(clip)
        losses = [
            F.cross_entropy(scores[head].float(), target, label_smoothing=self.label_smoothing)
            for head, target in labels.items()
        ]
        return torch.stack(losses).sum()


class LossModule(nn.Module):
    """Model and objective as one forward, so that DDP sees it whatever parts a method uses."""

    def __init__(self, model: ScoringModel, objective: nn.Module) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, clip: Clip, labels: Labels) -> Tensor:
        """The loss, a scalar."""
        loss: Tensor = self.objective(self.model, clip, labels)
        return loss
