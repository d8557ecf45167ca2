"""Motionformer's crops, which it has from PySlowFast (arXiv 2106.05392).

`JitteredCrop`, in training: the short side is scaled to a length at random, then a square is cut
at random. `UniformCrop`, in test: the short side is scaled, to the square itself as a rule, then
three squares are cut along the longer side: its beginning, its middle and its end, to the pixel
(those of `crops.ThreeCrop` are in quarters, and may stop up to 3 pixels short).

**Deviates** from the published code, which
  - never cuts at the last pixel to the right or below, and fails on frames of exactly the square;
  - scales normalised pixels without antialiasing; here pixels are whole numbers, at most one grey
    level off, and antialiased unless `antialias=False`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from marey.types import Frames, check_counts
from marey.video.crops import Box, FixedCrop, RandomCrop, any_square, resize, short_side, size_of


@dataclass(frozen=True)
class JitteredCrop(RandomCrop):
    """One view at random: short side in `sides` (both included), then any square (not for testing).

    `draw` says what is uniform: the length of the side, or with "inverse" its inverse, so that
    small sides, and with them large parts of the frame, are more frequent.
    """

    size: int = 224
    sides: tuple[int, int] = (256, 320)
    draw: Literal["uniform", "inverse"] = "uniform"

    tests: ClassVar[str] = "UniformCrop"

    def __post_init__(self) -> None:
        check_counts(size=self.size)
        if min(self.sides) < self.size:
            raise ValueError(f"sides is {self.sides}, smaller than the crop (size {self.size})")
        if self.sides[0] > self.sides[1]:
            raise ValueError(f"sides is {self.sides}, expected the smaller first")

    def side(self, rng: np.random.Generator) -> int:
        """A length of the short side."""
        low, high = self.sides
        if self.draw == "uniform":
            return round(rng.uniform(low, high))
        return round(1 / rng.uniform(1 / high, 1 / low))

    def box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """A square at random in a frame already scaled."""
        return any_square(self.size, height, width, rng)

    def cut(self, frames: Frames, rng: np.random.Generator) -> Tensor:
        """The view [t c size size]: scaled, then a square."""
        scaled = resize(frames, short_side(*size_of(frames), self.side(rng)))
        return self.box(*size_of(scaled), rng).cut(scaled)


@dataclass(frozen=True)
class UniformCrop(FixedCrop):
    """Three views: left, middle and right of a frame; top, middle and bottom of a higher one.

    The middle of an odd number of free pixels is the one to the right, or below.
    """

    resize: int = 224

    places = ((0, 2), (2, 2), (4, 2))

    def boxes(self, height: int, width: int) -> list[Box]:
        """The boxes [3] in a frame already scaled."""
        right, bottom = width - self.size, height - self.size
        x, y = math.ceil(right / 2), math.ceil(bottom / 2)
        places = [(x, 0), (x, y), (x, bottom)] if height > width else [(0, y), (x, y), (right, y)]
        return [Box(left, top, self.size, self.size) for left, top in places]
