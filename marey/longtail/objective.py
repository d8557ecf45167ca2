"""What is minimised: a function of (model, clip, labels), so that a method may work anywhere.

An objective sees the whole model and not just its scores, because long-tail methods work between
`features` and `classify`. It is an `nn.Module`, since it may own state (a memory bank).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.types import Clip, Labels, Scores, check_numbers


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


class Objective(Protocol):
    """A frozen dataclass that says what a stage minimises. Inherit from it explicitly.

    docs/extending.md writes one.
    """

    @property
    def several_labels(self) -> bool:
        """Whether it takes clips that have several classes each, float [b k]; by default not."""
        return False

    @abstractmethod
    def build(self, class_counts: Mapping[str, Tensor]) -> nn.Module:
        """The module whose ``forward(model, clip, labels)`` is the loss, a scalar in float32.

        Args:
            class_counts: head -> training clips of every class, int64 [k].

        Returns:
            A module that takes a `ScoringModel`, a clip [b t c h w] (or features [b t d]) and
            labels: head -> int64 [b], or float [b k] if they are mixed or several. What it has to
            remember from step to step is in its state dict, which checkpoints keep.
        """
        raise NotImplementedError


class PerHead(Objective, Protocol):
    """An objective on scores alone: the sum over the heads of one loss each."""

    def build(self, class_counts: Mapping[str, Tensor]) -> HeadLosses:
        """The sum of the losses that `loss` gives, see `Objective.build`."""
        return HeadLosses({head: self.loss(counts) for head, counts in class_counts.items()})

    @abstractmethod
    def loss(self, counts: Tensor) -> nn.Module:
        """The loss of a head with these training clips of every class, int64 [k].

        Returns:
            A module that takes scores float32 [b k] and targets, int64 [b] or float [b k], and
            gives a scalar.
        """
        raise NotImplementedError


@runtime_checkable
class FollowsEpochs(Protocol):
    """An objective whose module wants to know when an epoch of training ends."""

    def finish_epoch(self) -> None:
        """Called after the last step of every epoch; FrameStack measures its classes then."""
        ...


@runtime_checkable
class LearnsBeside(Protocol):
    """An objective's module with weights of its own, which learn beside those of the model.

    Training makes them (`meet`) before the optimiser, which has them as a group ``objective``.
    """

    def meet(self, width: int) -> None:
        """Make what is learned, for features of `width` numbers."""
        ...


@dataclass(frozen=True)
class CrossEntropy(PerHead):
    """Mean cross-entropy over the clips, summed over the heads.

    Takes class indices [b] or distributions [b k]; `label_smoothing` gives that share of the
    probability evenly to all classes (arXiv 1512.00567).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, at_most=1, label_smoothing=self.label_smoothing)

    def loss(self, counts: Tensor) -> nn.Module:  # noqa: ARG002
        """The loss of a head; the class counts do not matter."""
        return SoftmaxCrossEntropy(self.label_smoothing)


class SoftmaxCrossEntropy(nn.Module):
    """Scores [b k], class indices [b] or distributions [b k] -> mean cross-entropy."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar."""
        return F.cross_entropy(scores, target, label_smoothing=self.label_smoothing)


class HeadLosses(nn.Module):
    """The sum over the heads of one loss each, in float32.

    What a loss derives from class counts are buffers that are not saved: the counts are known again
    when a run is resumed.
    """

    def __init__(self, losses: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(dict(losses))

    def forward(self, model: ScoringModel, clip: Clip, labels: Labels) -> Tensor:
        """The loss, a scalar in float32 whatever the scores are in."""
        return self.total(model(clip), labels)

    def total(self, scores: Scores, labels: Labels) -> Tensor:
        """The loss of the scores [b k] of every head, as `forward`."""
        losses = [self.losses[head](scores[head].float(), y) for head, y in labels.items()]
        return torch.stack(losses).sum()


def distributions(target: Tensor, scores: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Targets as [b k], like `scores`: class indices [b] become one-hot; then smoothed."""
    if target.ndim == 1:
        target = torch.zeros_like(scores).scatter_(1, target[:, None], 1.0)
    share = label_smoothing / scores.shape[1]
    return target.to(scores.dtype) * (1 - label_smoothing) + share


class LossModule(nn.Module):
    """Model and objective as one forward, so that DDP sees it whatever parts a method uses."""

    def __init__(self, model: ScoringModel, objective: nn.Module) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, clip: Clip, labels: Labels) -> Tensor:
        """The loss, a scalar."""
        loss: Tensor = self.objective(self.model, clip, labels)
        return loss
