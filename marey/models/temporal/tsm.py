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
from typing import Literal

from torch import Tensor, nn

from marey.models.sites import DEEP, Block, Site, TemporalOp
from marey.models.temporal.kernels import shift
from marey.types import check_choices


@dataclass(frozen=True)
class TSM(TemporalOp):
    """The shift in every residual block that has a shortcut, or in every block of an Inception.

    `place="residual_in"` leaves the shortcut unshifted (the paper's "residual", released as
    "blockres"); "block_in" shifts the whole block's input ("block" of temporal-shift-module);
    "block_out" its output ("block" of the Group-Contextualization repository).

    `alternate` thins the shift out, to blocks of even index: "network" in all stages once one has
    23 blocks (temporal-shift-module, for its "blockres" only), "stage" only in the stages that have
    23 (Group-Contextualization), "none" nowhere, "always" everywhere (a ResNet-101 of
    temporal-shift-module whose non-local blocks have left 6 of the 23).

    Inception has no shortcuts, so no "residual_in" either: temporal-shift-module shifts what goes
    into its blocks ("block_in"), the second convolution of BN-Inception among them.
    """

    shift_div: int = 8
    place: Literal["residual_in", "block_in", "block_out"] = "residual_in"
    alternate: Literal["network", "stage", "none", "always"] = "network"
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
        leaves_out = not block.has_skip and "residual_in" in block.sites
        if block.is_stem or leaves_out or (block.index % 2 == 1 and self._alternates(block)):
            return {}
        channels = block.out_channels if self.place == "block_out" else block.in_channels
        fold = channels // self.shift_div
        ahead, back = (fold, fold) if self.direction == "both" else (0, fold)
        return {self.place: Shift(block.num_frames, ahead, back)}

    def _alternates(self, block: Block) -> bool:
        counted = {
            "network": max(block.depths),
            "stage": block.depths[block.stage],
            "none": 0,
            "always": DEEP,
        }
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
