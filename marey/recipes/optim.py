"""How weights are moved: optimisers, and the schedule of their rate over a stage.

Each is a frozen dataclass. A recipe may name one of your own as well: any that fits the protocol.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from torch import optim

from marey.models.optim_groups import Policy, by_depth, grouped
from marey.models.own_groups import Group
from marey.models.video_model import VideoModel
from marey.types import check_numbers


class Optim(Protocol):
    """An optimiser as plain data."""

    @property
    def lr(self) -> float:
        """The rate, for `Recipe.lr_batch_size` clips a step."""
        ...

    @property
    def weight_decay(self) -> float:
        """The share of a weight that each step takes off it, times the rate."""
        ...

    def param_groups(self, model: VideoModel) -> list[Group]:
        """The trainable parameters of a model, in groups with multiples of rate and decay."""
        ...

    def build(self, groups: Iterable[dict[str, Any]]) -> optim.Optimizer:
        """The optimiser of such groups, each with its `params`, `lr` and `weight_decay`."""
        ...


class Schedule(Protocol):
    """What the rates of a stage are multiplied by as it goes on."""

    def factor(self, epoch: float, epochs: int, warm: float) -> float:
        """The factor at `epoch` (fractional within one) of `epochs`, the first `warm` a warm-up."""
        ...


@runtime_checkable
class FollowsValidation(Protocol):
    """A schedule whose rates depend on how validation goes as well."""

    @property
    def metric(self) -> str:
        """The number of a validation that it looks at."""
        ...

    def after(
        self, numbers: Sequence[float], *, higher_is_better: bool, start: float = 1.0
    ) -> float:
        """What rates are multiplied by besides, once validations of the stage gave `numbers`.

        start: what they were multiplied by before the first of these.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent.

    Args:
        lr: the rate, for `Recipe.lr_batch_size` clips a step.
        momentum: how much of the last step goes into the next.
        weight_decay: the share of a weight that each step takes off it, times the rate.
        nesterov: look ahead along the momentum.
        groups: "tsm" gives biases twice the rate and no decay, and norms none
            (`marey.models.optim_groups`); "plain" gives neither decay; "one" treats all alike, as
            TDN's trainer does, which makes TSM's groups and then never applies what they say.
        head_lr5: with "tsm", the weights of heads learn five times as fast and their biases ten
            times, as in TSM when it starts from ImageNet.
        calibrator_lr: with "tsm", calibrators learn five times as fast (Group Contextualization),
            or twice as fast, but for their norms (its earlier generation).
        layer_decay: what the rate of a stage of the encoder (of a block, in a transformer) is of
            that of the next, the heads having the full one (BEiT, arXiv 2106.08254).
        fused: one kernel reads and writes each weight and what is remembered of it once: the same
            step up to the last bits of rounding.
    """

    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    groups: Policy = "tsm"
    head_lr5: bool = True
    calibrator_lr: Literal[1, 2, 5] = 1
    layer_decay: float = 1.0
    fused: bool = False

    def __post_init__(self) -> None:
        check_numbers(at_least=0, lr=self.lr, weight_decay=self.weight_decay)
        check_numbers(above=0, at_most=1, layer_decay=self.layer_decay)
        check_numbers(at_least=0, below=1, momentum=self.momentum)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov looks ahead along the momentum, which is 0")

    def param_groups(self, model: VideoModel) -> list[Group]:
        """The parameters by the policy `groups`."""
        groups = grouped(model, self.groups, self.head_lr5, self.calibrator_lr)
        return by_depth(groups, model, self.layer_decay)

    def build(self, groups: Iterable[dict[str, Any]]) -> optim.SGD:
        """torch's optimiser of these groups."""
        return optim.SGD(
            groups,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            fused=self.fused or None,
        )


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled decay; `betas` are its two decays of averages, the rest is as in SGD."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    groups: Policy = "plain"
    head_lr5: bool = False
    calibrator_lr: Literal[1, 2, 5] = 1
    layer_decay: float = 1.0
    fused: bool = False

    def __post_init__(self) -> None:
        check_numbers(at_least=0, lr=self.lr, weight_decay=self.weight_decay)
        check_numbers(above=0, at_most=1, layer_decay=self.layer_decay)
        for beta in self.betas:
            check_numbers(at_least=0, below=1, betas=beta)

    def param_groups(self, model: VideoModel) -> list[Group]:
        """The parameters by the policy `groups`."""
        groups = grouped(model, self.groups, self.head_lr5, self.calibrator_lr)
        return by_depth(groups, model, self.layer_decay)

    def build(self, groups: Iterable[dict[str, Any]]) -> optim.AdamW:
        """torch's optimiser of these groups."""
        return optim.AdamW(groups, lr=self.lr, betas=self.betas, fused=self.fused or None)


@dataclass(frozen=True)
class StepDecay:
    """The rate falls by `gamma` at each of `milestones` (in epochs), as in TSM's recipes."""

    milestones: tuple[float, ...] = (20, 40)
    gamma: float = 0.1

    def __post_init__(self) -> None:
        check_numbers(at_least=0, gamma=self.gamma)
        for milestone in self.milestones:
            check_numbers(at_least=0, milestones=milestone)

    def factor(self, epoch: float, epochs: int, warm: float = 0) -> float:  # noqa: ARG002
        """What the rate is multiplied by at `epoch` (fractional within an epoch)."""
        return float(self.gamma ** sum(epoch >= milestone for milestone in self.milestones))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to `final`; `per="epoch"` holds the rate within an epoch, as TSM does.

    >>> Cosine().factor(5, 10)
    0.5
    """

    final: float = 0.0
    per: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        check_numbers(at_least=0, final=self.final)

    def factor(self, epoch: float, epochs: int, warm: float = 0) -> float:
        """What the rate is multiplied by at `epoch` of `epochs`, the first `warm` left out."""
        at = math.floor(epoch) if self.per == "epoch" else epoch
        share = max(0.0, at - warm) / max(epochs - warm, 1e-9)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Plateau:
    """The rate falls by `gamma` where validation gets no better: torch's `ReduceLROnPlateau`.

    Args:
        metric: the number of a validation that is to get better, such as acc/top1.
        gamma: what the rate is multiplied by (torch's `factor`).
        patience: so many validations in a row may be no better; the next one lowers the rate.
        threshold: by how much a better one differs from the best.
        threshold_mode: "rel": by that share of the best; "abs": by that number.
        cooldown: so many validations after a fall do not count as worse.
        final: below this share of the first rate it does not fall (torch's `min_lr`).

    >>> Plateau(patience=1).after([1.0, 0.9, 0.9, 0.9], higher_is_better=False)
    0.1
    """

    metric: str = "val/loss"
    gamma: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(at_least=0, below=1, gamma=self.gamma)
        check_numbers(at_least=0, patience=self.patience, threshold=self.threshold)
        check_numbers(at_least=0, cooldown=self.cooldown, final=self.final)
        if not self.metric:
            raise ValueError("metric is empty, expected a number of a validation, as val/loss")

    def factor(self, epoch: float, epochs: int, warm: float = 0) -> float:  # noqa: ARG002
        """1: the epoch alone does not change the rate."""
        return 1.0

    def after(
        self, numbers: Sequence[float], *, higher_is_better: bool, start: float = 1.0
    ) -> float:
        """What the rate is multiplied by after validations that gave these `numbers`."""
        share, best = start, -math.inf if higher_is_better else math.inf
        num_bad = cooling = 0
        for number in numbers:
            is_better = self._is_better(number, best, higher_is_better)
            best, num_bad = (number, 0) if is_better else (best, num_bad + 1)
            if cooling:
                cooling, num_bad = cooling - 1, 0
            if num_bad > self.patience:
                share = min(share, max(share * self.gamma, self.final))
                cooling, num_bad = self.cooldown, 0
        return share

    def _is_better(self, number: float, best: float, higher_is_better: bool) -> bool:
        sign = 1 if higher_is_better else -1
        if self.threshold_mode == "abs":
            return sign * number > sign * best + self.threshold
        return sign * number > sign * (best * (1 + sign * self.threshold))


@dataclass(frozen=True)
class Warmup:
    """A linear rise of the rate from `start` (a share of it) during the first `epochs`."""

    epochs: float = 0.0
    start: float = 0.01

    def __post_init__(self) -> None:
        check_numbers(at_least=0, epochs=self.epochs, start=self.start)

    def factor(self, epoch: float) -> float:
        """What the rate is multiplied by at `epoch`, 1 once warm."""
        if epoch >= self.epochs:
            return 1.0
        return self.start + (1 - self.start) * epoch / self.epochs
