"""Consecutive frames of a video at another rate: the clips of torchvision's reference scripts.

At `rate` frames a second a video of n frames at `fps` is the frames floor(i * fps / rate) that it
has, i = 0, 1, ..; a clip is T of these in a row. Training draws any such window, test spreads
`clips` of them from the first to the last.

A video with fewer than T repeats the last one.

**Deviates** from the published code unless `variant` says "upstream", because that code
  - takes the first window where it takes one, here it is the one in the middle;
  - leaves out what is behind floor(n * rate / fps) frames where fps / rate is not a whole number;
  - multiplies in float32.
It leaves out videos of fewer than T frames, and so its accuracies are of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from marey.types import check_counts, check_numbers
from marey.video.sampling.segments import FrameRule, Indices


@dataclass(frozen=True)
class ResampledClips(FrameRule):
    """`num_frames` consecutive frames of a video of `fps` frames a second, shown at `rate`.

    >>> ResampledClips(num_frames=3, clips=2).indices(10)
    array([[0, 2, 4],
           [4, 6, 8]])
    >>> ResampledClips(num_frames=3, clips=1).at(25).indices(10)
    array([[1, 3, 5]])
    """

    num_frames: int = 16
    rate: float = 15.0
    fps: float = 30.0
    clips: int = 5
    variant: Literal["repaired", "upstream"] = "repaired"

    def __post_init__(self) -> None:
        check_counts(num_frames=self.num_frames, clips=self.clips)
        check_numbers(above=0, rate=self.rate, fps=self.fps)

    @property
    def frames(self) -> int:
        """Frames a clip has."""
        return self.num_frames

    def in_segments(self, segments: int) -> ResampledClips:
        """The same rate for so many frames, so clips of another length in seconds."""
        return replace(self, num_frames=segments)

    def at(self, fps: float) -> ResampledClips:
        """Clips of the same length in seconds in a video of `fps` frames a second."""
        return replace(self, fps=fps)

    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        video = self._resampled(num_frames)
        last = max(len(video) - self.num_frames, 0)
        if rng is not None:
            starts = rng.integers(0, last, size=1, endpoint=True)
        elif self.clips == 1:
            starts = np.array([0 if self.variant == "upstream" else last // 2])
        else:
            starts = np.linspace(0, last, self.clips).astype(np.int64)
        windows = starts[:, None] + np.arange(self.num_frames)
        frames: Indices = video[windows.clip(0, len(video) - 1)]
        return frames

    def _resampled(self, num_frames: int) -> Indices:
        """The frames [n'] that the video has at `rate`."""
        step = self.fps / self.rate
        if self.variant == "repaired" or step.is_integer():
            numbers = np.arange(math.ceil(num_frames / step)) * self.fps / self.rate
        else:
            count = max(1, math.floor(num_frames * (self.rate / self.fps)))
            numbers = np.arange(count, dtype=np.float32) * np.float32(step)
        frames: Indices = np.floor(numbers).astype(np.int64).clip(0, num_frames - 1)
        return frames
