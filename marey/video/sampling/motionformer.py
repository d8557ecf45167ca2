"""Motionformer's two ways to take frames (arXiv 2106.05392), which it has from PySlowFast.

`TimedClips`: a clip of T frames covers as many frames of the video as T * stride would at the rate
`fps`, so it lasts equally long in every video; clips start anywhere up to delta:

    span = T * stride * fps of the video / fps;    delta = max(n - span, 0)
    frames = floor(linspace(start, start + span - 1, T)), at most n - 1

A video shorter than the span repeats its last frame, and so keeps its speed (`sampling.Clips`
spreads the frames instead). `RoundedSegments`: T segments whose borders are rounded to frames.

**Deviates** from the published code unless `variant` says "upstream", because that code
  - starts clip i of v at delta * i / v, so that the last one never reaches the end of the video;
    here they lie from the first possible start to the last, and a single clip in the middle;
  - counts EPIC-KITCHENS' frames from 1 and its segments from 0, so that the last frame of a segment
    is never seen ("upstream-epic").
`RoundedSegments` takes one frame of a video of T frames twice and its last never; it is here for
the published numbers, and `sampling.Segments` is the same repaired.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from marey.types import check_counts, check_numbers
from marey.video.sampling.segments import FrameRule, Indices

Starts: TypeAlias = Annotated[npt.NDArray[np.float64], "float64 [v], in frames"]


@dataclass(frozen=True)
class TimedClips(FrameRule):
    """`num_frames` frames, `stride` apart in a video of `fps` frames a second, as far in any other.

    Training draws where the clip starts, test has `clips` of them.

    >>> TimedClips(num_frames=4, stride=2, clips=2).indices(10)
    array([[0, 2, 4, 7],
           [2, 4, 6, 9]])
    >>> TimedClips(stride=4, fps=30).at(60) == TimedClips(stride=8, fps=60)
    True
    """

    num_frames: int = 16
    stride: float = 4.0
    fps: float = 30.0
    clips: int = 10
    variant: Literal["repaired", "upstream", "upstream-epic"] = "repaired"

    def __post_init__(self) -> None:
        check_counts(num_frames=self.num_frames, clips=self.clips)
        check_numbers(above=0, stride=self.stride, fps=self.fps)

    @property
    def frames(self) -> int:
        """Frames a clip has."""
        return self.num_frames

    def in_segments(self, segments: int) -> TimedClips:
        """The same stride for so many frames, so clips of another length in seconds."""
        return replace(self, num_frames=segments)

    @property
    def span(self) -> float:
        """Frames of the video that a clip covers."""
        return self.num_frames * self.stride

    def at(self, fps: float) -> TimedClips:
        """Clips of the same length in seconds in a video of `fps` frames a second."""
        return replace(self, stride=self.stride * fps / self.fps, fps=fps)

    def starts(self, num_frames: float, rng: np.random.Generator | None = None) -> Starts:
        """Where clips start [v], in parts of a frame: v is 1 with an `rng`, else `clips`."""
        last = max(num_frames - self.span, 0.0)
        if rng is not None:
            return np.array([rng.uniform(0, last)])
        if self.variant != "repaired":
            return last * np.arange(self.clips) / self.clips
        return np.linspace(0, last, self.clips) if self.clips > 1 else np.array([last / 2])

    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        starts, t = self.starts(num_frames, rng), self.num_frames
        if self.variant == "upstream-epic":
            numbers = evenly_as_upstream(starts + 1, starts + self.span, t)  # of files, from 1
            return numbers.clip(1, max(1, num_frames - 1)) - 1
        spread = evenly if self.variant == "repaired" else evenly_as_upstream
        return spread(starts, starts + max(self.span - 1, 0.0), t).clip(0, num_frames - 1)


@dataclass(frozen=True)
class RoundedSegments(FrameRule):
    """One frame of each of T segments, whose borders are round(i * (n - 1) / T).

    Training draws between the borders, both included, test takes the frame half way between them.

    >>> RoundedSegments(8).indices(8)
    array([[0, 1, 2, 3, 4, 4, 5, 6]])
    """

    num_segments: int = 16

    clips: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_counts(num_segments=self.num_segments)

    @property
    def frames(self) -> int:
        """Frames a clip has (T)."""
        return self.num_segments

    def in_segments(self, segments: int) -> RoundedSegments:
        """The same rule for another T."""
        return replace(self, num_segments=segments)

    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        t = self.num_segments
        borders = np.round(np.arange(t + 1) * ((num_frames - 1) / t)).astype(np.int64)
        first, last = borders[:-1], borders[1:]
        if rng is not None:
            return rng.integers(first, last, endpoint=True)[None]
        return ((first + last) // 2)[None]


def evenly(starts: Starts, ends: Starts, t: int) -> Indices:
    """`t` whole frames [v, t] from each start to its end, both included, rounded down.

    By way of float32: in float64 a whole number may come out a hair less, and so one frame early.
    """
    return np.linspace(starts, ends, t, axis=1, dtype=np.float32).astype(np.int64)


def evenly_as_upstream(starts: Starts, ends: Starts, t: int) -> Indices:
    """The same with all steps in float32, in which some whole numbers come out a hair less."""
    import torch  # here: only rows of the published code wait for it

    spread = [torch.linspace(a, b, t) for a, b in zip(starts, ends, strict=True)]
    return torch.stack(spread).to(torch.int64).numpy()
