"""Temporal pooling of the TSM release: before a stage, the number of frames is halved.

Frame t becomes the maximum of frames 2t-1, 2t, 2t+1.

**Deviates**: an odd number of frames is rounded up (9 become 5); upstream fails there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.layout import fold_time, unfold_time
from marey.models.sites import Block, Site, TemporalOp


@dataclass(frozen=True)
class TemporalPool(TemporalOp):
    """Half the frames from `stage` on (counted from 0; 1 is ResNet's layer2, as published)."""

    stage: int = 1

    def frames_in_stage(self, stage: int, num_frames: int) -> int:
        """Half of `num_frames`, rounded up, where the pooling stands."""
        return -(-num_frames // 2) if stage == self.stage else num_frames

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """The pooling, on entering the first block of the stage."""
        if (block.stage, block.index) != (self.stage, 0):
            return {}
        return {"stage_in": MaxPoolTime(block.num_frames_in)}


class MaxPoolTime(nn.Module):
    """The maximum of every second frame and its two neighbours."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*ceil(t/2) c h w]."""
        x = unfold_time(x, self.num_frames).transpose(1, 2)
        x = F.max_pool3d(x, kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
        return fold_time(x.transpose(1, 2))

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"num_frames={self.num_frames}"
