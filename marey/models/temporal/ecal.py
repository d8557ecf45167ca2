"""Element calibration, the earlier generation of Group Contextualization: two layers, all channels.

    y = x * sigmoid(BN(W2 relu(BN(W1 context(x)))))      W1: C -> C/r,  W2: C/r -> C

The contexts L, T, S and G are those of `marey.models.temporal.group_context`; W1 reaches three
frames, or 3 x 3 pixels without dilation. It calibrates what a residual block adds to its shortcut.
The Group-Contextualization repository contains it up to March 2022; the rows ECal-L-TSN (`E33D`
there) and ECal-T-TSM (`T33D`) of its first README are this. ECal rows of the paper are the later,
one-layer form: `GroupContext(gates="L")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from marey.errors import counted
from marey.models.sites import Block, Site, TemporalOp, check_beside_conv
from marey.models.temporal.group_context import CALIBRATORS, Calibrator, started
from marey.types import check_choices, check_counts


@dataclass(frozen=True)
class ECal(TemporalOp):
    """A calibrator of one context at `site`; "L" is ECal-L.

    `kernels` are those of the two layers: "33" or "31" (`E31D`); a matrix of G has none. With
    `alternate="stage"` stages of 23 blocks or more have calibrators in blocks of even index only.
    """

    gate: Literal["L", "T", "S", "G"] = "L"
    reduction: int = 16
    kernels: Literal["33", "31"] = "33"
    site: Site = "residual_out"
    alternate: Literal["stage", "none"] = "stage"

    def __post_init__(self) -> None:
        check_choices(self)
        check_beside_conv((self.site,), "calibrator")
        check_counts(reduction=self.reduction)

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """A `Calibrator` of two layers at the site, or nothing in blocks that are left out."""
        if self.alternate == "stage" and block.in_deep_stage and block.index % 2:
            return {}
        return {self.site: self._calibrator(block.channels_at(self.site), block.num_frames)}

    def _calibrator(self, channels: int, num_frames: int) -> Calibrator:
        kind, inner = CALIBRATORS[self.gate], channels // self.reduction
        if not inner:
            raise ValueError(f"{self} reduces {counted(channels, 'channel')} to none")
        first, second = (int(kernel) for kernel in self.kernels)
        layers = {
            "reduce": started(kind.layer(channels, inner, first), _kaiming),
            "bn1": kind.norm(inner),
            "relu": nn.ReLU(inplace=True),
            "expand": started(kind.layer(inner, channels, second), nn.init.xavier_normal_),
            "bn2": kind.norm(channels),
        }
        return kind(layers, num_frames)


def _kaiming(weight: Tensor) -> Tensor:
    return nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
