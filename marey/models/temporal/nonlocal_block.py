"""Non-local block (arXiv 1711.07971), embedded Gaussian, keys and values subsampled in space.

    y = softmax(theta(x) . phi(x)) g(x);  z = x + BN(W y),  BN's scale and shift starting at zero

Every position of every frame attends to every second row and column of every frame. The scores are
not divided by sqrt(C): published checkpoints are trained that way.

**Deviates**: the 1x1x1 convolutions and the batch norm of the release are 2-D here, on frames; they
compute the same and spare the transposition of time and channels. Weights are [c' c 1 1]. After
`TemporalPool` a block attends within one clip; upstream, told the unpooled length, mixes two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.layout import OnClips, unfold_time
from marey.models.sites import Block, Site, TemporalOp
from marey.types import check_numbers


@dataclass(frozen=True)
class NonLocal(TemporalOp):
    """A non-local block after every second block of `stages`, the first included.

    Stages count from 0; (1, 2) are layer2 and layer3 of a ResNet-50: five blocks, as published.
    """

    stages: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        for stage in self.stages:
            check_numbers(at_least=0, stages=stage)

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """A `NonLocalBlock` after blocks 0, 2, 4... of the stages."""
        if max(self.stages, default=0) >= len(block.depths):
            raise ValueError(
                f"{self} names a stage that does not exist; there are {len(block.depths)} "
                "stages, counted from 0"
            )
        if block.stage not in self.stages or block.index % 2 == 1:
            return {}
        return {"block_out": NonLocalBlock(block.out_channels, block.num_frames)}


class NonLocalBlock(OnClips):
    """Frames [b*t c h w] -> the same shape; attention over the whole clip."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        inner = channels // 2
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.subsample = nn.MaxPool2d(2)
        self.out = nn.Conv2d(inner, channels, 1)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] with what they attend to added."""
        query = self._positions(self.theta(x))
        key = self._positions(self.subsample(self.phi(x)))
        value = self._positions(self.subsample(self.g(x)))
        y = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        y = y.reshape(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2)
        z: Tensor = x + self.bn(self.out(y))
        return z

    def _positions(self, x_nchw: Tensor) -> Tensor:
        """[b 1 t*h*w c]: all positions of a clip in one row, of one head, as ONNX has attention."""
        rows = unfold_time(x_nchw, self.num_frames).permute(0, 1, 3, 4, 2).flatten(1, 3)
        return rows[:, None]
