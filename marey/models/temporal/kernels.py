"""Operators of TSM and TAM on frames [b*t c h w]: what plain PyTorch computes too slowly.

Each is registered with `torch.library`, with a backward of its own, because

  - inductor would turn slice assignments into masked scalar loops, and autograd would fill with
    zeros and add once for each slice; behind an operator they stay copies;
  - padded, shifted, weighted and stacked copies of all frames would have to be kept for backward;
    the operators save only what the layers beside them save too.

Beside each stands its plain form, the same in ordinary operators. Exported graphs hold that one, so
that they run without this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from math import prod
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from marey.models.layout import fold_time, unfold_time

Move: TypeAlias = tuple[int, int, int]
"""(into, source, step): frame t of part `into` takes frame t + step of part `source`."""
_LIBRARY = torch.library.Library("marey", "FRAGMENT")  # type: ignore[no-untyped-call]
"""Not `torch.library.custom_op`: the first call of such a one loads the compiler, for a second."""


def _operator(name: str, schema: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """The function below as operator `marey::name`, on any device."""
    _LIBRARY.define(name + schema)  # type: ignore[no-untyped-call]

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        operator: Callable[..., Tensor] = getattr(torch.ops.marey, name).default
        return operator

    return register


# --- shift: some channels look one frame ahead, some back ----------------------------------------


def shift(x_nchw: Tensor, num_frames: int, ahead: int, back: int) -> Tensor:
    """Frames [b*t c h w] with the first `ahead` channels from t+1 and the next `back` from t-1.

    Zeros come in at the ends of each clip of `num_frames`. Forwards and backwards it is one copy,
    and nothing is saved.
    """
    if torch.compiler.is_exporting():
        return shift_plainly(x_nchw, num_frames, ahead, back)
    return _shift(x_nchw, num_frames, ahead, back, 1)


def shift_plainly(x_nchw: Tensor, num_frames: int, ahead: int, back: int) -> Tensor:
    """`shift` in ordinary operators."""
    x = unfold_time(x_nchw, num_frames)
    from_next, from_last, rest = x.tensor_split((ahead, ahead + back), dim=2)
    from_next = torch.cat((from_next[:, 1:], torch.zeros_like(from_next[:, :1])), dim=1)
    from_last = torch.cat((torch.zeros_like(from_last[:, :1]), from_last[:, :-1]), dim=1)
    return fold_time(torch.cat((from_next, from_last, rest), dim=2))


@_operator("shift", "(Tensor x, int num_frames, int ahead, int back, int step) -> Tensor")
def _shift(x: Tensor, num_frames: int, ahead: int, back: int, step: int) -> Tensor:
    """With a `step` of -1 the directions are exchanged, which is the backward of 1.

    All is copied first, what moves then again: one copy of a whole block of memory is up to three
    times as fast as one of the channels that stay, which are short runs of it in channels last.
    """
    out, clips = x.clone(), (-1, num_frames, *x.shape[1:])
    source, target = x.view(clips), out.view(clips)
    _copy(source[:, :, :ahead], target[:, :, :ahead], step)
    _copy(source[:, :, ahead : ahead + back], target[:, :, ahead : ahead + back], -step)
    return out


def _copy(source: Tensor, target: Tensor, step: int) -> None:
    """Frame t of `target` becomes frame t + step of `source`, step being 1 or -1."""
    if step == 1:
        target[:, :-1], target[:, -1] = source[:, 1:], 0
    else:
        target[:, 1:], target[:, 0] = source[:, :-1], 0


@torch.library.register_fake("marey::shift", lib=_LIBRARY)  # type: ignore[untyped-decorator]
def _(x: Tensor, *_: int) -> Tensor:
    return torch.empty_like(x)


def _remember_shift(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    ctx.arguments = inputs[1:]


def _shift_back(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
    num_frames, ahead, back, step = ctx.arguments
    return _shift(gradient, num_frames, ahead, back, -step), None, None, None, None


torch.library.register_autograd(
    "marey::shift", _shift_back, setup_context=_remember_shift, lib=_LIBRARY
)

# --- blend: every channel is a weighted sum, or the maximum, of nearby frames --------------------


def blend(
    x: Tensor,
    weights: Sequence[Tensor],
    moves: Sequence[Move],
    num_frames: int,
    parts: tuple[int, int],
    how: Literal["sum", "max"] = "sum",
) -> Tensor:
    """ReLU of the sum, or maximum, of frames moved in time and multiplied by a weight each.

    Args:
        x: frames [sources*b*t c h w], all those of the first part first.
        weights: one a move, [c 1 1], or [c c 1 1], a matrix over the channels.
        moves: which frame of which part goes into which part.
        num_frames: t, beyond which everything is zero.
        parts: how many parts there are in `x` and in what comes back, frames [targets*b*t c h w].
    """
    plain = how == "max" or weights[0].ndim == 4
    if plain or torch.compiler.is_exporting():
        return blend_plainly(x, weights, moves, num_frames, parts, how)
    flat = [number for move in moves for number in move]
    return _blend(x, torch.stack(list(weights)).to(x.dtype), flat, num_frames, *parts, True)


def blend_plainly(
    x: Tensor,
    weights: Sequence[Tensor],
    moves: Sequence[Move],
    num_frames: int,
    parts: tuple[int, int],
    how: Literal["sum", "max"] = "sum",
) -> Tensor:
    """`blend` in ordinary operators."""
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


@_operator(
    "blend",
    "(Tensor x, Tensor weights, int[] moves, int num_frames, int num_sources, int num_targets, "
    "bool relu) -> Tensor",
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
    terms = zip(weights, _triples(moves), strict=True)
    # those that stay in their frame first: they fill all of the output, and spare the zeros
    for weight, (into, source, step) in sorted(terms, key=lambda term: term[1][2] != 0):
        here, there = targets[into], sources[source]
        if into not in started and step == 0:
            torch.mul(there, weight, out=here)
        else:
            if into not in started:
                here.zero_()
            _overlap(here, -step).addcmul_(_overlap(there, step), weight)
        started.add(into)
    return out.relu_() if relu else out


def _triples(moves: Sequence[int]) -> list[Move]:
    """The moves, of which an operator takes plain numbers only."""
    return list(zip(moves[::3], moves[1::3], moves[2::3], strict=True))


def _overlap(clips: Tensor, step: int) -> Tensor:
    """The frames t + step of clips [b t ...] for which both t and t + step exist."""
    frames = clips.shape[1]
    return clips[:, min(frames, max(0, step)) : max(0, frames + min(0, step))]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The sum [c] of a * b over all of clips [b t c h w] but the channels.

    On a CPU by the gradient of batch norm's weight, which is this sum for a mean of 0 and a
    deviation of 1, and is made in one pass; a product of whole clips would be written and read.
    Compiled for any number of clips it is the product, which the compiler sums as it goes.
    """
    any_number = isinstance(a.shape[0], torch.SymInt)
    if any_number or a.device.type != "cpu" or a.dtype not in (torch.float32, torch.float64):
        return (a * b).sum((0, 1, 3, 4))
    zeros, ones = a.new_zeros(a.shape[2]), a.new_ones(a.shape[2])
    of_weight = partial(
        torch.ops.aten.native_batch_norm_backward,
        weight=None,
        running_mean=None,
        running_var=None,
        save_mean=zeros,
        save_invstd=ones,
        train=True,
        eps=0.0,
        output_mask=[False, True, False],
    )
    clips = zip(a, b, strict=True) if a.shape[1] else ()  # of a lone frame nothing overlaps
    return sum((of_weight(one, other)[1] for one, other in clips), start=zeros)


def _empty(x: Tensor, num_sources: int, num_targets: int) -> Tensor:
    layout = torch.channels_last if x.stride(1) == 1 else torch.contiguous_format
    shape = (x.shape[0] // num_sources * num_targets, *x.shape[1:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)


@torch.library.register_fake("marey::blend", lib=_LIBRARY)  # type: ignore[untyped-decorator]
def _(x: Tensor, _weights: Tensor, _moves: Any, _num_frames: int, *parts: int) -> Tensor:
    return _empty(x, *parts[:2])


def _remember_blend(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weights, *ctx.arguments = inputs
    ctx.save_for_backward(x, weights, output)


def _blend_back(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
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
        sums = [
            _dot(_overlap(targets[into], -step), _overlap(sources[source], step))
            for into, source, step in _triples(moves)
        ]
        for_weights = torch.stack(sums).view_as(weights)
    return for_x, for_weights, None, None, None, None, None


torch.library.register_autograd(
    "marey::blend", _blend_back, setup_context=_remember_blend, lib=_LIBRARY
)


@register_flop_formula(torch.ops.marey.blend)
def _flops(
    x: Sequence[int],
    weights: Sequence[int],
    _moves: Any,
    _num_frames: int,
    num_sources: int,
    *_: object,
    **__: object,
) -> int:
    """What as many depthwise 1x1 convolutions cost."""
    return 2 * weights[0] * prod(x) // num_sources
