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
from math import prod
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from marey.models.layout import fold_time
from marey.models.sites import Block, Site, TemporalOp
from marey.types import check_choices


@dataclass(frozen=True)
class TAM(TemporalOp):
    """The aggregation before the first convolution of every block; the shortcut stays as it was."""

    taps: int = 3
    reduce: Literal["sum", "max"] = "sum"
    init: Literal["identity", "reference"] = "identity"
    depthwise: bool = True

    def __post_init__(self) -> None:
        check_choices(self)
        if self.taps < 1:
            raise ValueError(f"taps is {self.taps}, expected 1 or more")

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """An `Aggregation` of `block.num_frames` frames."""
        return {"residual_in": Aggregation(self, block.in_channels, block.num_frames)}

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
        """Frames, aggregated. Eager and compiled code run an operator; exported graphs plain ones.

        The operator reads each input and writes each output in place of the padded, weighted and
        stacked copies, and saves for backward nothing that the layers beside it do not save.
        """
        moves = [move for move, _ in self.terms]
        weights = [reduce(torch.add, [self.taps[tap] for tap in taps]) for _, taps in self.terms]
        frames, parts = self.num_frames, (self.num_sources, self.num_targets)
        if torch.compiler.is_exporting() or self.spec.reduce == "max" or not self.spec.depthwise:
            return _by_plain_operators(x, weights, moves, frames, parts, self.spec.reduce)
        flat = [number for move in moves for number in move]
        out: Tensor = _blend(x, torch.stack(weights).to(x.dtype), flat, frames, *parts, True)
        return out

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"num_frames={self.num_frames}, {self.spec}"


_Move = tuple[int, int, int]


def _merged(routes: Sequence[Route]) -> list[tuple[_Move, list[int]]]:
    """Taps that see the same frame are added before they meet it."""
    taps: dict[_Move, list[int]] = {}
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


def _by_plain_operators(
    x: Tensor,
    weights: Sequence[Tensor],
    moves: Sequence[_Move],
    num_frames: int,
    parts: tuple[int, int],
    how: Literal["sum", "max"],
) -> Tensor:
    num_sources, num_targets = parts
    sources = x.view(num_sources, -1, num_frames, *x.shape[1:])
    terms: list[list[Tensor]] = [[] for _ in range(num_targets)]
    for (into, source, step), weight in zip(moves, weights, strict=True):
        frames = fold_time(_moved(sources[source], step))
        terms[into].append(F.conv2d(frames, weight) if weight.ndim == 4 else frames * weight)
    outs = [reduce(torch.add if how == "sum" else torch.maximum, some) for some in terms]
    return torch.cat(outs).relu()


def _moved(clips: Tensor, step: int) -> Tensor:
    """Clips [b t c h w] whose frame t is frame t + step, or zeros."""
    if abs(step) >= clips.shape[1]:
        return torch.zeros_like(clips)
    return F.pad(clips, (0, 0, 0, 0, 0, 0, -step, step)) if step else clips


@torch.library.custom_op(
    "marey::blend",
    mutates_args=(),
    schema="(Tensor x, Tensor weights, int[] moves, int num_frames, int num_sources, "
    "int num_targets, bool relu) -> Tensor",
)
def _blend(
    x: Tensor,
    weights: Tensor,
    moves: Sequence[int],
    num_frames: int,
    num_sources: int,
    num_targets: int,
    relu: bool,
) -> Tensor:
    out = _empty(x, num_sources, num_targets)
    sources = x.view(num_sources, -1, num_frames, *x.shape[1:])
    targets = out.view(num_targets, -1, num_frames, *x.shape[1:])
    started = set()
    for weight, into, source, step in sorted(_terms(weights, moves), key=lambda term: term[3] != 0):
        here, there = targets[into], sources[source]
        if into not in started and step == 0:
            torch.mul(there, weight, out=here)
        else:
            if into not in started:
                here.zero_()
            _overlap(here, -step).addcmul_(_overlap(there, step), weight)
        started.add(into)
    return out.relu_() if relu else out


def _terms(weights: Tensor, moves: Sequence[int]) -> list[tuple[Tensor, int, int, int]]:
    return list(zip(weights, moves[::3], moves[1::3], moves[2::3], strict=True))


def _overlap(clips: Tensor, step: int) -> Tensor:
    """The frames t + step of clips [b t ...] for which both t and t + step exist."""
    frames = clips.shape[1]
    return clips[:, min(frames, max(0, step)) : max(0, frames + min(0, step))]


def _empty(x: Tensor, num_sources: int, num_targets: int) -> Tensor:
    layout = torch.channels_last if x.stride(1) == 1 else torch.contiguous_format
    shape = (x.shape[0] // num_sources * num_targets, *x.shape[1:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)


@_blend.register_fake
def _(
    x: Tensor,
    weights: Tensor,  # noqa: ARG001
    moves: Sequence[int],  # noqa: ARG001
    num_frames: int,  # noqa: ARG001
    num_sources: int,
    num_targets: int,
    relu: bool,  # noqa: ARG001
) -> Tensor:
    return _empty(x, num_sources, num_targets)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weights, *ctx.arguments = inputs
    ctx.save_for_backward(x, weights, output)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weights, output = ctx.saved_tensors
    moves, num_frames, num_sources, num_targets, relu = ctx.arguments
    if relu:
        gradient = torch.ops.aten.threshold_backward(gradient, output, 0)
    for_x = for_weights = None
    if ctx.needs_input_grad[0]:
        back = [n for into, source, step in _triples(moves) for n in (source, into, -step)]
        for_x = _blend(gradient, weights, back, num_frames, num_targets, num_sources, False)
    if ctx.needs_input_grad[1]:
        sources = x.view(num_sources, -1, num_frames, *x.shape[1:])
        targets = gradient.view(num_targets, -1, num_frames, *x.shape[1:])
        for_weights = torch.stack(
            [
                (_overlap(targets[into], -step) * _overlap(sources[source], step)).sum((0, 1, 3, 4))
                for into, source, step in _triples(moves)
            ]
        ).view_as(weights)
    return for_x, for_weights, None, None, None, None, None


def _triples(moves: Sequence[int]) -> list[_Move]:
    return list(zip(moves[::3], moves[1::3], moves[2::3], strict=True))


_blend.register_autograd(_backward, setup_context=_remember)


@register_flop_formula(torch.ops.marey.blend)
def _flops(
    x: Sequence[int],
    weights: Sequence[int],
    moves: Sequence[int],  # noqa: ARG001
    num_frames: int,  # noqa: ARG001
    num_sources: int,
    *_: object,
    **__: object,
) -> int:
    """What as many depthwise 1x1 convolutions cost."""
    return 2 * weights[0] * prod(x) // num_sources
