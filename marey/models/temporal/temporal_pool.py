"""Temporal pooling: before a stage, the number of frames is halved.

Frame t becomes the maximum of frames 2t-1, 2t, 2t+1, or their mean, frames that do not exist being
zero and counted. The TSM release pools once, before layer2; action-recognition-pytorch, where its
nets have a temporal stride ("-ts-max", "-ts-avg"), before layer2, layer3 and layer4.

**Deviates**: an odd number of frames is rounded up (9 become 5). The TSM release fails there, and
the other one tells later modules a number rounded down. Two frames have a mean here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.layout import OnClips, fold_time, unfold_time
from marey.models.sites import Block, Site, TemporalOp
from marey.types import check_choices, check_numbers


@dataclass(frozen=True)
class TemporalPool(TemporalOp):
    """Half the frames from `stage` on (counted from 0; 1 is ResNet's layer2, as published)."""

    stage: int = 1
    reduce: Literal["max", "mean"] = "max"

    def __post_init__(self) -> None:
        check_choices(self)
        check_numbers(at_least=0, stage=self.stage)

    def frames_in_stage(self, stage: int, num_frames: int) -> int:
        """Half of `num_frames`, rounded up, where the pooling stands."""
        return -(-num_frames // 2) if stage == self.stage else num_frames

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """The pooling, on entering the first block of the stage."""
        if (block.stage, block.index) != (self.stage, 0):
            return {}
        pool = MaxPoolTime if self.reduce == "max" else MeanPoolTime
        return {"stage_in": pool(block.num_frames_in)}


class MaxPoolTime(OnClips):
    """The maximum of every second frame and its two neighbours."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*ceil(t/2) c h w]."""
        return fold_time(self.pool(unfold_time(x, self.num_frames).transpose(1, 2)).transpose(1, 2))

    def pool(self, x_bcthw: Tensor) -> Tensor:
        """Half the frames."""
        return F.max_pool3d(x_bcthw, kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))


class MeanPoolTime(MaxPoolTime):
    """A third of the sum of every second frame and its two neighbours."""

    def pool(self, x_bcthw: Tensor) -> Tensor:
        """Half the frames."""
        x = F.pad(x_bcthw, (0, 0, 0, 0, 1, 1))
        return F.avg_pool3d(x, kernel_size=(3, 1, 1), stride=(2, 1, 1))
