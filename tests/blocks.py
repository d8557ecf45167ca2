"""An encoder that says which blocks it has, and a recipe that trains it within seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from marey.models.encoder import EncoderModule
from marey.models.layout import fold_time, unfold_time
from marey.models.sites import TemporalOp
from marey.models.video_model import ModelSpec
from marey.recipes.optim import AdamW, StepDecay
from marey.recipes.recipe import Recipe
from tests.tiny import tiny_recipe


class BlocksEncoder(EncoderModule):
    """A stem and two blocks, without batch norm; 5 channels are no even number of shares."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 3, stride=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(5, 5, 3, stride=2), nn.ReLU()) for _ in range(2)
        )
        self.register_buffer("scale", torch.full((1,), 2.0), persistent=False)
        self.num_features, self.num_frames = 5, num_frames

    def blocks_by_stage(self) -> Sequence[Sequence[nn.Module]]:
        return [list(self.blocks)]

    def forward(self, clip: Tensor) -> Tensor:
        x = self.stem(fold_time(clip)) * self.scale
        for block in self.blocks:
            x = block(x)
        return unfold_time(x.mean(dim=(2, 3)), self.num_frames)


@dataclass(frozen=True)
class BlocksSpec:
    in_channels: int = 3

    frames_per_segment: ClassVar[int] = 1

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> BlocksEncoder:
        return BlocksEncoder(num_segments)


def blocks_recipe(manifest: Path, *, batch_size: int, epochs: int, **changes: Any) -> Recipe:
    recipe = tiny_recipe(manifest, epochs=epochs, batch_size=batch_size)
    optim = AdamW(lr=0.01, groups="plain")
    return replace(
        recipe,
        model=ModelSpec(BlocksSpec(), num_segments=2, heads=(), dropout=0.0),
        stages=(replace(recipe.stages[0], optim=optim, schedule=StepDecay((9,))),),
        accumulate=2,
        clip_grad=0.1,
        save_best="val/loss",
        smooth=1,
        **changes,
    )
