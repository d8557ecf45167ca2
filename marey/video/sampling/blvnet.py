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

from marey.types import check_counts
from marey.video.sampling.segments import Indices, SegmentRule, num_starts, starts_within


@dataclass(frozen=True)
class Uniform(SegmentRule):
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
    variant: Literal["repaired", "upstream"] = "repaired"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(clips=self.clips)

    def starts(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
        """First frame of each segment [v, T], always within the video."""
        t, clips = self.num_segments, self.clips if rng is None else 1
        if self.variant == "upstream":
            count = max(1, num_frames - self.frames_per_segment + 1)
            return self._upstream(count) if rng is None else self._drawn(count, rng)
        count = num_starts(num_frames, t, self.frames_per_segment)
        if rng is not None and count > t:  # else there is nothing to choose: frames repeat evenly
            return starts_within(rng.random(), count, t)[None]
        halves = 2 * np.arange(clips) + 1  # whole numbers: the place is halves / (2 * clips)
        return (2 * clips * np.arange(t) + halves[:, None]) * count // (2 * clips * t)

    def _drawn(self, count: int, rng: np.random.Generator) -> Indices:
        length = count // self.num_segments
        if length:
            return (np.arange(self.num_segments) * length + rng.integers(length))[None]
        return np.sort(rng.integers(count, size=self.num_segments))[None]

    def _upstream(self, count: int) -> Indices:
        t = self.num_segments
        if count <= t:
            return np.stack([_repeated(count, t, seed=clip) for clip in range(self.clips)])
        length = count / t
        shift = np.arange(self.clips) - (self.clips - 1) // 2  # whole frames around the middle
        shift = shift.clip(-length / 2, length / 2 - 1e-4)
        return (length / 2 + shift[:, None] + length * np.arange(t)).astype(np.int64)


def _repeated(count: int, t: int, *, seed: int) -> Indices:
    """`t` starts in order, drawn with repetition: the published numbers need this generator."""
    return np.sort(np.random.RandomState(seed).randint(count, size=t)).astype(np.int64)
