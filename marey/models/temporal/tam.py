"""Temporal Aggregation Module of bLVNet (arXiv 1912.00869): every channel blends nearby frames.

    out[t] = ReLU( sum_i w_i * x[t + i - k//2] ),  i = 0 .. k-1,  zeros outside of the clip

w_i is one number a channel; there is no bias, no norm and no residual. With `reduce="max"` the
largest tap counts instead of the sum, with `depthwise=False` w_i is a matrix over all channels:
both are options of action-recognition-pytorch. TANet's "TAM", Temporal *Adaptive* Module, is
another.

**Deviates**: the taps start as the identity (the middle one is 1), so that pretrained features pass
unharmed. Upstream draws all of them from N(0, 2/C), which sets half of the outputs to zero and
keeps 7 % of the mean: `init="reference"`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from marey.models.sites import Block, Site, TemporalOp
from marey.models.temporal.kernels import Move, blend
from marey.types import check_choices, check_counts


@dataclass(frozen=True)
class TAM(TemporalOp):
    """The aggregation before the first convolution of every block; the shortcut stays as it was.

    With `place` "block_out" it stands behind every block, the convolutions of a stem among them:
    so action-recognition-pytorch has it in Inception.
    """

    taps: int = 3
    reduce: Literal["sum", "max"] = "sum"
    init: Literal["identity", "reference"] = "identity"
    depthwise: bool = True
    place: Literal["residual_in", "block_out"] = "residual_in"

    def __post_init__(self) -> None:
        check_choices(self)
        check_counts(taps=self.taps)

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """An `Aggregation` of `block.num_frames` frames."""
        return {self.place: Aggregation(self, block.channels_at(self.place), block.num_frames)}

    def steps(self) -> range:
        """How many frames ahead each tap looks."""
        return range(-(self.taps // 2), self.taps - self.taps // 2)


class Route(NamedTuple):
    """Part `into` of the output takes part `source` of the input, `step` frames later, by `tap`."""

    into: int
    source: int
    step: int
    tap: int


class Aggregation(nn.Module):
    """Frames [parts*b*t c h w] -> the same with the parts that `routes` lead into.

    There is one part, and one route a tap, unless `routes` says otherwise: bLVNet reads and writes
    even and odd frames apart. `taps` holds w_i: [c 1 1], or [c c 1 1] if not depthwise.
    """

    def __init__(
        self, spec: TAM, channels: int, num_frames: int, routes: Sequence[Route] | None = None
    ) -> None:
        super().__init__()
        if routes is None:
            routes = [Route(0, 0, step, tap) for tap, step in enumerate(spec.steps())]
        self.spec, self.num_frames = spec, num_frames
        self.num_sources = 1 + max(route.source for route in routes)
        self.num_targets = 1 + max(route.into for route in routes)
        self.terms = _merged(routes) if spec.reduce == "sum" else [(r[:3], [r[3]]) for r in routes]
        self.taps = nn.ParameterList(_start(spec, tap, channels) for tap in range(spec.taps))

    def forward(self, x: Tensor) -> Tensor:
        """Frames, aggregated."""
        moves, weights = zip(*self.weighted(), strict=True)
        parts = (self.num_sources, self.num_targets)
        return blend(x, weights, moves, self.num_frames, parts, self.spec.reduce)

    def weighted(self) -> list[tuple[Move, Tensor]]:
        """Which frame of which part goes into which part, and times what."""
        return [
            (move, reduce(torch.add, [self.taps[tap] for tap in taps])) for move, taps in self.terms
        ]

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"num_frames={self.num_frames}, {self.spec}"


def _merged(routes: Sequence[Route]) -> list[tuple[Move, list[int]]]:
    """Taps that see the same frame are added before they meet it."""
    taps: dict[Move, list[int]] = {}
    for *move, tap in routes:
        taps.setdefault((move[0], move[1], move[2]), []).append(tap)
    return list(taps.items())


def _start(spec: TAM, tap: int, channels: int) -> nn.Parameter:
    shape = (channels, 1, 1) if spec.depthwise else (channels, channels, 1, 1)
    if spec.init == "reference":
        return nn.Parameter(torch.empty(shape).normal_(std=(2 / channels) ** 0.5))
    if tap != spec.taps // 2:
        return nn.Parameter(torch.zeros(shape))
    return nn.Parameter((torch.ones if spec.depthwise else torch.eye)(channels).view(shape))
