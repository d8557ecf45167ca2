"""Grouped spatial-temporal aggregation (arXiv 1909.13130): a few channels look along time.

    beta 2:  cat(spatial 1x3x3 (first half of x), temporal 3x3x3 (second half of x))
    beta 1:  cat(spatial 1x3x3 (x), temporal 3x3x3 (x))                      "GST-Large"

One channel in alpha that comes out is temporal. The module takes the place of the 3x3 convolution
in a bottleneck; the rest of the network stays a ResNet. ImageNet's weights start the spatial
channels, the temporal ones start from noise.

**Deviates**: all convolutions are 2-D, on frames. Any input size will do; the release pools 7x7
maps only. The paper has no grouped or depthwise form: here one group in alpha is temporal, each
group sees its own input, and beta is of no matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.layers import conv
from marey.models.layout import OnClips
from marey.models.sites import Block, Site, TemporalOp
from marey.models.temporal.kernels import shift
from marey.types import check_choices


@dataclass(frozen=True)
class GST(TemporalOp):
    """One channel in `alpha` temporal, the others spatial; each sees 1/`beta` of the input."""

    alpha: int = 4
    beta: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        check_choices(self)
        if self.alpha < 2:
            raise ValueError(
                f"alpha is {self.alpha}, expected 2 or more: one channel in alpha is "
                "temporal, the others spatial"
            )

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """A `SpatialTemporalConv` in place of the middle convolution."""
        parts = block.mid_channels if block.groups == 1 else block.groups
        if parts < self.alpha:
            raise ValueError(f"{self} has no temporal channel in {block}")
        return {"conv2": SpatialTemporalConv(block, self.alpha, self.beta)}


class SpatialTemporalConv(nn.Module):
    """Frames [b*t c h w] -> [b*t c h/stride w/stride], the last channels from three frames."""

    def __init__(self, block: Block, alpha: int, beta: int) -> None:
        super().__init__()
        channels, groups, stride = block.mid_channels, block.groups, block.stride
        if groups == 1:
            temporal, groups_of = channels // alpha, (1, 1)
            self.seen = channels // beta, channels // beta
        else:
            groups_of = groups - groups // alpha, groups // alpha
            temporal = channels // groups * groups_of[1]
            self.seen = channels - temporal, temporal
        first, last = self.seen
        spatial = channels - temporal
        self.spatial = conv(first, spatial, 3, stride=stride, groups=groups_of[0])
        self.temporal = TemporalConv(last, temporal, block.num_frames, stride, groups_of[1])

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*t c h/stride w/stride]."""
        first, last = self.seen
        return torch.cat((self.spatial(x[:, :first]), self.temporal(x[:, -last:])), dim=1)

    def start_from(self, weight: Tensor) -> Mapping[str, Tensor]:
        """All weights, the spatial ones being the first rows and columns of a 2-D `weight`."""
        out, into = self.spatial.weight.shape[:2]
        return self.state_dict() | {"spatial.weight": weight[:out, :into]}


class TemporalConv(OnClips, nn.Conv3d):
    """A 3x3x3 convolution on frames, as three of 3x3 of which two are shifted by a frame.

    PyTorch's own takes ten times as long for a single clip on one CPU thread.
    """

    def __init__(
        self, channels_in: int, channels_out: int, num_frames: int, stride: int, groups: int
    ) -> None:
        super().__init__(
            channels_in, channels_out, 3, (1, stride, stride), 1, groups=groups, bias=False
        )
        self.num_frames = num_frames
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*t c' h/stride w/stride]."""
        channels = self.out_channels
        last, same, following = (self._conv2d(x, self.weight[:, :, tap]) for tap in range(3))
        last = shift(last, self.num_frames, ahead=0, back=channels)
        return same + last + shift(following, self.num_frames, ahead=channels, back=0)

    def _conv2d(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, None, self.stride[1:], 1, 1, self.groups)
