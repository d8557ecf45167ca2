"""Uniform sampling as bLVNet-TAM does it: all segments of a clip share one place.

Of P possible starts and T segments, segment i begins at i * P / T; the clip takes from each of
them the frame at the same share `where` of its length (bLVNet-TAM, arXiv 1912.00869, and
action-recognition-pytorch, arXiv 2010.11757, at the commits the recipes name):

    start_i = floor((i + where) * P / T),  0 <= where < 1

so that the frames of a clip are equally far apart, where TSN (`sampling.Segments`) draws a place
for each segment. Their dense sampling needs no class of its own: T frames, F apart, are
`sampling.Dense(T, span=T * F)`, with the variant "upstream" to the frame.

**Deviates** from the published code unless `variant` says "upstream", because that code
  - gives a video of T frames and fewer a random draw of them with repetition, in testing too,
    where it seeds NumPy's global generator anew; here a video of T frames gives 0..T-1 and a
    shorter one repeats its frames evenly;
  - trains on frames 0..T-1 alone of a video of T to 2T-1 frames, and never sees the last (frames
    mod T) of any; here the clip reaches over all of it;
  - tests several clips a single frame apart; here they divide the segment among them.
Most videos of Something-Something are shorter than 64 frames, so the published numbers of 48 and
64 frames are those of the random draws: to compare with them, use "upstream".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from marey.video.sampling.segments import Indices


@dataclass(frozen=True)
class Uniform:
    """One start in each of T equal segments, at the same place in all; L consecutive frames each.

    Training draws the place, test has `clips` of them: with one clip the middle. L is 1 for
    pictures and 5 for stacks of flow. P is n - L + 1, but at least min(n, T); reads past the end
    repeat the last frame.

    Variant "upstream" is the published rule of training (with `rng`), and of validation and test.
    Its `--random_sampling` test is one training clip after another, but for videos with fewer
    starts than segments, whose clips are those of the fixed test.

    >>> Uniform(num_segments=4, clips=2).indices(12)
    array([[ 0,  3,  6,  9],
           [ 2,  5,  8, 11]])
    """

    num_segments: int = 16
    frames_per_segment: int = 1
    clips: int = 1
    variant: Literal["repaired", "upstream"] = "repaired"

    def __post_init__(self) -> None:
        for name in ("num_segments", "frames_per_segment", "clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")

    @property
    def frames(self) -> int:
        """Frames a clip has: T * L, segment-major."""
        return self.num_segments * self.frames_per_segment

    def indices(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
        """Frames [v, T * L]: v is 1 with an `rng`, else `clips`; ValueError without frames."""
        starts = self.starts(num_frames, rng)
        frames = starts[:, :, None] + np.arange(self.frames_per_segment)
        return frames.clip(0, num_frames - 1).reshape(len(starts), self.frames)

    def starts(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
        """First frame of each segment [v, T], always within the video."""
        if num_frames < 1:
            raise ValueError(f"num_frames is {num_frames}, expected at least 1")
        if self.variant == "upstream":
            num_starts = max(1, num_frames - self.frames_per_segment + 1)
            return self._upstream(num_starts) if rng is None else self._drawn(num_starts, rng)
        num_starts = max(
            num_frames - self.frames_per_segment + 1, min(num_frames, self.num_segments)
        )
        t, segments = self.num_segments, np.arange(self.num_segments)
        if rng is not None and num_starts > t:
            starts = ((segments + rng.random()) * num_starts / t).astype(np.int64)[None]
            return np.minimum(starts, num_starts - 1)  # i + 0.999... may round up to i + 1
        clips = self.clips if rng is None else 1  # with nothing to choose, frames repeat evenly
        halves = 2 * np.arange(clips) + 1  # whole numbers: the place is halves / (2 * clips)
        return (2 * clips * segments + halves[:, None]) * num_starts // (2 * clips * t)

    def _drawn(self, num_starts: int, rng: np.random.Generator) -> Indices:
        length = num_starts // self.num_segments
        if length:
            return (np.arange(self.num_segments) * length + rng.integers(length))[None]
        return np.sort(rng.integers(num_starts, size=self.num_segments))[None]

    def _upstream(self, num_starts: int) -> Indices:
        t = self.num_segments
        if num_starts <= t:
            return np.stack([_repeated(num_starts, t, seed=clip) for clip in range(self.clips)])
        length = num_starts / t
        shift = np.arange(self.clips) - (self.clips - 1) // 2  # whole frames around the middle
        shift = shift.clip(-length / 2, length / 2 - 1e-4)
        return (length / 2 + shift[:, None] + length * np.arange(t)).astype(np.int64)


def _repeated(num_starts: int, t: int, *, seed: int) -> Indices:
    """`t` starts in order, drawn with repetition: the published numbers need this generator."""
    return np.sort(np.random.RandomState(seed).randint(num_starts, size=t)).astype(np.int64)
