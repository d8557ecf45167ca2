"""FrameStack: frames of two clips in one, more of the one whose classes are known less.

Zhang et al., "VideoLT: Large-scale Long-tailed Video Recognition" (arXiv 2105.02668). Clip i with
targets y_i is stacked with a random partner j of the batch:

    a_i = mean_c(y_ic AP_c)                   how well the clip's classes are known already
    beta = a_i / (a_i + a_j)                  1/2 where both are (nearly) 0
    x' = [floor(beta T) frames of j, T - floor(beta T) frames of i],  each spread evenly
    y' = (1 - beta) y_i + beta y_j

So frames of rare classes, which have a low average precision (AP), fill more of the clip. AP is
measured on the training clips of the epoch before; the first `share` of every batch is stacked, and
nothing is until `warm_epochs` epochs have passed (the released option ``warm_epoch`` is one less:
its published 0 is 1 here).

The mean over c is over all classes, as in the released code: with many of them a_i is small, and
the guard against division by 0 (a sum below 1e-5) already holds below a percent of AP.

**Deviates**: each process measures the clips that it has seen. As released, AP is that of a second
forward pass in training mode, with dropout, on clips that are not stacked. A partner is any clip of
the batch, there any of those that are stacked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from marey.errors import RecipeError, did_you_mean
from marey.longtail.objective import Objective, ScoringModel, distributions
from marey.longtail.sigmoid import SigmoidFocal
from marey.metrics.average_precision import average_precision
from marey.types import Clip, Labels, check_numbers


@dataclass(frozen=True)
class FrameStack(Objective):
    """`loss` on clips of which a `share` is stacked, by the AP of `head` (the first if empty)."""

    loss: Objective = field(default_factory=lambda: SigmoidFocal(1.0))
    share: float = 0.5
    warm_epochs: int = 1
    head: str = ""

    def __post_init__(self) -> None:
        check_numbers(at_least=0, at_most=1, share=self.share)
        if self.warm_epochs < 1:
            raise ValueError(
                f"warm_epochs is {self.warm_epochs}, expected 1 or more: the first "
                "epoch has no average precisions yet"
            )

    @property
    def several_labels(self) -> bool:
        """Whether `loss` takes clips that have several classes each."""
        return self.loss.several_labels

    def build(self, class_counts: Mapping[str, Tensor]) -> FrameStackObjective:
        """The objective for these training clips of every class, int64 [k] a head."""
        return FrameStackObjective(self, class_counts)


class FrameStackObjective(nn.Module):
    """See `FrameStack`. Its state: the AP of every class, and the scores of the epoch so far."""

    precision: Tensor
    epochs: Tensor

    def __init__(self, spec: FrameStack, class_counts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.spec, self.head = spec, spec.head or next(iter(class_counts))
        if self.head not in class_counts:
            raise RecipeError(
                f"FrameStack's head is '{self.head}'", did_you_mean(self.head, class_counts)
            )
        self.loss = spec.loss.build(class_counts)
        self.num_classes = {head: len(counts) for head, counts in class_counts.items()}
        self.register_buffer("precision", torch.zeros(self.num_classes[self.head]))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, model: ScoringModel, clip: Clip, labels: Labels) -> Tensor:
        """The loss, a scalar; RecipeError for clips of one frame, of which none can be given."""
        if clip.shape[1] < 2:
            raise RecipeError(
                "FrameStack puts frames of two clips into one, but clips have 1 frame",
                "take another objective, or features of several frames a clip",
            )
        targets = {
            head: distributions(label, torch.empty(len(label), self.num_classes[head]).to(clip))
            for head, label in labels.items()
        }
        with torch.no_grad():
            scores = model(clip)[self.head].float()
        self.seen.append((scores.cpu(), targets[self.head].cpu()))
        count = int(len(clip) * self.spec.share)
        if int(self.epochs) >= self.spec.warm_epochs and count:
            partner = torch.randperm(len(clip), device=clip.device)[:count]
            beta = shares(targets[self.head], self.precision, partner)
            clip = torch.cat([stacked(clip, partner, beta), clip[count:]])
            targets = {head: mixed(y, partner, beta) for head, y in targets.items()}
        loss: Tensor = self.loss(model, clip, targets)
        return loss

    def finish_epoch(self) -> None:
        """Measure the AP of every class on the clips of the epoch that ends."""
        if not self.seen:
            return
        scores, targets = (torch.cat(column).numpy() for column in zip(*self.seen, strict=True))
        precision = np.nan_to_num(average_precision(scores, targets)).astype(np.float32)
        self.precision.copy_(torch.from_numpy(precision))
        self.epochs += 1
        self.seen = []

    def get_extra_state(self) -> list[tuple[Tensor, Tensor]]:
        """What a state dict keeps besides buffers: scores and targets of the epoch so far."""
        return self.seen

    def set_extra_state(self, state: Any) -> None:
        """Go on from what `get_extra_state` gave."""
        self.seen = list(state)


def shares(targets: Tensor, precision: Tensor, partner: Tensor) -> Tensor:
    """Share beta [m] of the partner (int64 [m]) in each of the first m of the clips.

    targets [b k], precision [k]: the AP of every class, from 0 to 1.
    """
    known = (targets * precision).mean(dim=1)
    own, theirs = known[: len(partner)], known[partner]
    return torch.where(own + theirs < 1e-5, 0.5, own / (own + theirs).clamp_min(1e-5))


def stacked(clip: Tensor, partner: Tensor, beta: Tensor, num_frames: int | None = None) -> Tensor:
    """The first m clips, each with floor(beta T) frames of its partner, then T - those of its own.

    clip [b t ...]; partner int64 [m], beta [m]; T is `num_frames`, or t. -> [m T ...]
    """
    length, frames = num_frames or clip.shape[1], clip.shape[1]
    theirs = (beta * length).int().tolist()
    places = np.stack(
        [np.concatenate([_even(n, frames), _even(length - n, frames)]) for n in theirs]
    )
    is_theirs = torch.arange(length) < torch.tensor(theirs)[:, None]
    rows = torch.arange(len(partner), device=clip.device)[:, None]
    source = torch.where(is_theirs.to(clip.device), partner[:, None], rows)
    return clip[source, torch.from_numpy(places).to(clip.device)]


def mixed(targets: Tensor, partner: Tensor, beta: Tensor) -> Tensor:
    """The targets [b k], those of the first m clips mixed by `beta` [m] with their partners'."""
    weight = beta.to(targets)[:, None]
    first = (1 - weight) * targets[: len(partner)] + weight * targets[partner]
    return torch.cat([first, targets[len(partner) :]])


def _even(count: int, num_frames: int) -> np.ndarray:
    return np.linspace(0, num_frames - 1, count).astype(np.int64)
