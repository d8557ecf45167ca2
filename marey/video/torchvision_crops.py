"""The crop that torchvision's video networks train on; `CenterCrop` with ``resize=(128, 171)`` and
without antialiasing is that of their tests.

A frame is scaled to a height and a width whatever its aspect ratio, without antialiasing, and a
square is cut at random.

**Deviates**: pixels are scaled as whole numbers, at most one grey level off, in training too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from marey.types import Frames, check_counts
from marey.video.crops import Box, RandomCrop, Size, any_square, resize, size_of


@dataclass(frozen=True)
class StretchedCrop(RandomCrop):
    """One view at random: a frame scaled to `resize`, (height, width), then any square of it."""

    size: int = 112
    resize: Size = (128, 171)

    def __post_init__(self) -> None:
        check_counts(size=self.size)
        if min(self.resize) < self.size:
            raise ValueError(f"resize is {self.resize}, smaller than the crop (size {self.size})")

    def box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """A square at random in a frame already scaled."""
        return any_square(self.size, height, width, rng)

    def cut(self, frames: Frames, rng: np.random.Generator) -> Tensor:
        """The view [t c size size]: scaled, then a square."""
        scaled = resize(frames, self.resize, antialias=False)
        return self.box(*size_of(scaled), rng).cut(scaled)
