"""Temporal Shift Module (arXiv 1811.08383): a share of the channels looks one frame ahead or back.

    channel  0 .. C/8        frame t takes frame t+1 (the last frame takes zeros)
             C/8 .. 2C/8     frame t takes frame t-1 (the first frame takes zeros)
             the rest        stays

The paper's figure shows the two directions the other way round; this is what every published
checkpoint uses. With ``direction="past"`` only the first C/8 channels move, and only from t-1: the
form that can run on a stream.

**Deviates**: nothing is patched around layers, so no ``.net`` appears in the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from marey.models.layout import fold_time, unfold_time
from marey.models.sites import DEEP, Block, Site, TemporalOp
from marey.types import check_choices


@dataclass(frozen=True)
class TSM(TemporalOp):
    """The shift in every residual block that has a shortcut.

    `place="residual_in"` leaves the shortcut unshifted (the paper's "residual", released as
    "blockres"); "block_in" shifts the whole block's input ("block" of temporal-shift-module);
    "block_out" its output ("block" of the Group-Contextualization repository).

    `alternate` thins the shift out in deep networks, to blocks of even index: "network" in all
    stages once one has 23 blocks (temporal-shift-module, for its "blockres" only), "stage"
    only in the stages that have 23 (Group-Contextualization), "none" nowhere.
    """

    shift_div: int = 8
    place: Literal["residual_in", "block_in", "block_out"] = "residual_in"
    alternate: Literal["network", "stage", "none"] = "network"
    direction: Literal["both", "past"] = "both"

    def __post_init__(self) -> None:
        check_choices(self)
        if self.shift_div < 2:
            raise ValueError(
                f"shift_div is {self.shift_div}, expected 2 or more: C/shift_div "
                "channels move each way"
            )

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """A `Shift` at `place`, or nothing in blocks that are left out."""
        if not block.has_skip or (block.index % 2 == 1 and self._alternates(block)):
            return {}
        channels = block.out_channels if self.place == "block_out" else block.in_channels
        fold = channels // self.shift_div
        ahead, back = (fold, fold) if self.direction == "both" else (0, fold)
        return {self.place: Shift(block.num_frames, ahead, back)}

    def _alternates(self, block: Block) -> bool:
        counted = {"network": max(block.depths), "stage": block.depths[block.stage], "none": 0}
        return counted[self.alternate] >= DEEP


class Shift(nn.Module):
    """`shift` as a module; it has no parameters."""

    def __init__(self, num_frames: int, ahead: int, back: int) -> None:
        super().__init__()
        self.num_frames, self.ahead, self.back = num_frames, ahead, back

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w], shifted."""
        return shift(x, self.num_frames, self.ahead, self.back)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"num_frames={self.num_frames}, ahead={self.ahead}, back={self.back}"


def shift(x_nchw: Tensor, num_frames: int, ahead: int, back: int) -> Tensor:
    """Frames [b*t c h w] with the first `ahead` channels from t+1 and the next `back` from t-1.

    Zeros come in at the ends of each clip of `num_frames`. Eager and compiled code run one opaque
    operator with its own backward: a copy either way, and nothing saved. An exported graph holds
    plain operators instead, so that it runs without this package.
    """
    if torch.compiler.is_exporting():
        return _shift_by_cat(x_nchw, num_frames, ahead, back)
    shifted: Tensor = _shift(x_nchw, num_frames, ahead, back, 1)
    return shifted


def _shift_by_cat(x_nchw: Tensor, num_frames: int, ahead: int, back: int) -> Tensor:
    x = unfold_time(x_nchw, num_frames)
    from_next, from_last, rest = x.tensor_split((ahead, ahead + back), dim=2)
    from_next = torch.cat((from_next[:, 1:], torch.zeros_like(from_next[:, :1])), dim=1)
    from_last = torch.cat((torch.zeros_like(from_last[:, :1]), from_last[:, :-1]), dim=1)
    return fold_time(torch.cat((from_next, from_last, rest), dim=2))


# Inductor would turn the slice assignments into masked scalar loops, and autograd into a zero-fill
# and an addition for each slice; behind an operator they stay copies.
@torch.library.custom_op(
    "marey::shift",
    mutates_args=(),
    schema="(Tensor x, int num_frames, int ahead, int back, int step) -> Tensor",
)
def _shift(x: Tensor, num_frames: int, ahead: int, back: int, step: int) -> Tensor:
    out = torch.empty_like(x)
    source, target = unfold_time(x, num_frames), unfold_time(out, num_frames)
    target[:, :, ahead + back :] = source[:, :, ahead + back :]
    _move(source[:, :, :ahead], target[:, :, :ahead], step)
    _move(source[:, :, ahead : ahead + back], target[:, :, ahead : ahead + back], -step)
    return out


def _move(source: Tensor, target: Tensor, step: int) -> None:
    """Frame t of `target` becomes frame t + step of `source`, step being 1 or -1."""
    if step == 1:
        target[:, :-1], target[:, -1] = source[:, 1:], 0
    else:
        target[:, 1:], target[:, 0] = source[:, :-1], 0


@_shift.register_fake
def _(x: Tensor, num_frames: int, ahead: int, back: int, step: int) -> Tensor:  # noqa: ARG001
    return torch.empty_like(x)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    ctx.arguments = inputs[1:]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
    num_frames, ahead, back, step = ctx.arguments
    return _shift(gradient, num_frames, ahead, back, -step), None, None, None, None


_shift.register_autograd(_backward, setup_context=_remember)
