"""Grouped spatial-temporal aggregation (arXiv 1909.13130): a few channels look along time.

    beta 2:  cat(spatial 1x3x3 (first half of x), temporal 3x3x3 (second half of x))
    beta 1:  cat(spatial 1x3x3 (x), temporal 3x3x3 (x))                      "GST-Large"

One channel in alpha that comes out is temporal. The module takes the place of the 3x3 convolution
in a bottleneck; the rest of the network stays a ResNet. ImageNet's weights start the spatial
channels, the temporal ones start from noise.

**Deviates**: convolutions that span one frame are 2-D, on frames. Any input size will do; the
release pools 7x7 maps only. The paper has no grouped or depthwise form: here one group in alpha is
temporal, each group sees its own input, and beta is of no matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from marey.models.layout import fold_time, unfold_time
from marey.models.resnet import conv
from marey.models.sites import Block, Site, TemporalOp


@dataclass(frozen=True)
class GST(TemporalOp):
    """One channel in `alpha` temporal, the others spatial; each sees 1/`beta` of the input."""

    alpha: int = 4
    beta: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        if self.alpha < 2:
            raise ValueError(f"alpha is {self.alpha}, expected 2 or more: one channel in alpha is "
                             "temporal, the others spatial")  # fmt: skip
        if self.beta not in (1, 2):
            raise ValueError(f"beta is {self.beta}, expected 1 or 2")

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
        self.num_frames = block.num_frames
        if groups == 1:
            seen = channels // beta
            into, out, groups_out = (seen, seen), channels // alpha, (1, 1)
        else:
            groups_out = groups - groups // alpha, groups // alpha
            out = channels // groups * groups_out[1]
            into = channels - out, out
        self.seen = into
        self.spatial = conv(into[0], channels - out, 3, stride=stride, groups=groups_out[0])
        self.temporal = nn.Conv3d(into[1], out, 3, (1, stride, stride), 1, groups=groups_out[1],
                                  bias=False)  # fmt: skip
        nn.init.kaiming_normal_(self.temporal.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*t c h/stride w/stride]."""
        first, last = self.seen
        clip = unfold_time(x[:, -last:], self.num_frames).transpose(1, 2)
        y = fold_time(self.temporal(clip).transpose(1, 2))
        return torch.cat((self.spatial(x[:, :first]), y), dim=1)

    def start_from(self, weight: Tensor) -> Mapping[str, Tensor]:
        """All weights, the spatial ones being the first rows and columns of a 2-D `weight`."""
        out, into = self.spatial.weight.shape[:2]
        return self.state_dict() | {"spatial.weight": weight[:out, :into]}

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"num_frames={self.num_frames}"
