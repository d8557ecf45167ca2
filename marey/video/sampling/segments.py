"""Which frames of a video a clip takes: pure functions of (number of frames, rng).

Every sampler is a frozen dataclass with one method, `indices(num_frames, rng)`, that gives 0-based
int64 [v, t]: `v` clips of `t` frames, always within [0, num_frames). With an `rng` it is the
training rule and gives one random clip; with `rng=None` it is the test rule, the same every time.

`Segments` is the uniform sampling of TSN (arXiv 1608.00859) and TSM (1811.08383); with
`frames_per_segment=5` that of TDN (2012.10071). `Dense` is the I3D-style sampling of TSM's
Kinetics rows. `Clips` is the "frames x stride" sampling of most toolboxes.

**Deviates** from the published code unless `variant` says "upstream", because that code
  - takes frame 0 T times for a video of exactly T frames in validation, and of fewer than T in
    training and validation; for TDN (L=5), of fewer than T + 5 in validation *and* test. Here a
    video of T frames gives 0..T-1 and a shorter one repeats its frames evenly, whatever the rule;
  - never shows training the last (frames mod T) frames; here every frame can be drawn;
  - draws dense windows at random in validation and never the last one; here `rng=None` is
    deterministic and the last window is as likely as the others;
  - takes a dense clip of a short video modulo its length, so time jumps back, and with more frames
    than the span takes one frame T times; here such a clip is spread evenly over the video, in
    order, and the stride is at least 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from marey.errors import counted
from marey.types import check_counts, check_segments

Indices: TypeAlias = Annotated[npt.NDArray[np.int64], "int64 [v t], 0-based"]


class Sampling(Protocol):
    """What picks frames: one of the classes below, or your own frozen dataclass."""

    @property
    def clips(self) -> int:
        """Clips a video gives in test."""
        ...

    @property
    def frames(self) -> int:
        """Frames a clip has (t)."""
        ...

    def indices(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
        """Frame indices [v, t]: one random clip with an `rng`, else `clips` fixed ones."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A sampling whose clips last equally long in every video, whatever its rate."""

    def at(self, fps: float) -> Sampling:
        """The same in frames of a video of `fps` frames a second."""
        ...


def at_rate(sampling: Sampling, fps: float | None) -> Sampling:
    """`sampling` for a video of `fps`; as it is, if it counts in frames or the rate is unknown."""
    return sampling.at(fps) if fps and isinstance(sampling, Timed) else sampling


@runtime_checkable
class Segmented(Protocol):
    """A sampling whose clips can have any number of segments, or frames where it has no others."""

    def in_segments(self, segments: int) -> Sampling:
        """The same rule for clips of so many."""
        ...


def in_segments(sampling: Sampling, segments: int) -> Sampling:
    """`sampling` for clips of so many segments.

    A window of frames has as many frames then, and keeps its span or its stride. ValueError for a
    number that no clip has, and for a sampling that takes all frames, or does not say how.

    >>> in_segments(Segments(3), 25)
    Segments(num_segments=25, frames_per_segment=1, clips=1, variant='repaired')
    """
    check_segments(segments=segments)
    if not isinstance(sampling, Segmented):
        raise ValueError(f"{sampling} has no number of segments")
    return sampling.in_segments(segments)


def in_frames(sampling: Sampling, frames: int) -> Sampling:
    """`sampling` for clips of so many frames; ValueError if they are not whole segments of it."""
    length = in_segments(sampling, 1).frames
    if frames % length:
        there = counted(frames, "frame")
        raise ValueError(f"{there}, expected whole segments of {length} frames each")
    return in_segments(sampling, frames // length)


class FrameRule(ABC):
    """What the rules here share: the video is checked before `_indices` picks from it."""

    def indices(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
        """Frames int64 [v, t] of a video of `num_frames`, 0-based.

        Args:
            num_frames: frames of the video; ValueError if there are none.
            rng: draws one clip as in training, v = 1; None gives the `clips` of a test.
        """
        if num_frames < 1:
            raise ValueError(f"num_frames is {num_frames}, expected at least 1")
        return self._indices(num_frames, rng)

    @abstractmethod
    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        raise NotImplementedError


@dataclass(frozen=True)
class SegmentRule(FrameRule):
    """T segments of a video, from each of which a clip takes L consecutive frames."""

    num_segments: int = 8
    frames_per_segment: int = 1
    clips: int = 1

    def __post_init__(self) -> None:
        check_counts(num_segments=self.num_segments, frames_per_segment=self.frames_per_segment)

    @property
    def frames(self) -> int:
        """Frames a clip has: T * L, segment-major."""
        return self.num_segments * self.frames_per_segment

    def in_segments(self, segments: int) -> Self:
        """The same rule for another T."""
        return replace(self, num_segments=segments)

    @abstractmethod
    def starts(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
        """First frame of each segment [v, T]; `indices` clamps what follows it to the video."""
        raise NotImplementedError

    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        starts = self.starts(num_frames, rng)
        frames = starts[:, :, None] + np.arange(self.frames_per_segment)
        return frames.clip(0, num_frames - 1).reshape(len(starts), self.frames)


@dataclass(frozen=True)
class Segments(SegmentRule):
    """One start in each of T equal segments, and L consecutive frames from it.

    Segment i of the P possible starts is [i, i + 1) * P / T; training draws within it, test takes
    its middle; `clips=2` (TSM's twice-sampling) adds the clip of segment beginnings. P is
    n - L + 1, but at least min(n, T): so short videos keep as many distinct starts as they have
    frames, and reads past the end repeat the last frame.

    Variant "upstream" is the published train rule (with `rng`) and test rule; "upstream-val" its
    validation rule, which is also TDN's test rule. TDN's random Kinetics test is "upstream" with
    an `rng`.

    >>> Segments(num_segments=4).indices(10)
    array([[1, 3, 6, 8]])
    """

    clips: Literal[1, 2] = 1
    variant: Literal["repaired", "upstream", "upstream-val"] = "repaired"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clips not in (1, 2):
            raise ValueError(
                f"clips is {self.clips}; Segments has 1, or 2 (twice-sampling). "
                "hint: Dense and Clips take any number"
            )

    def starts(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
        """First frame of each segment [v, T], before `indices` clamps it to the video.

        Only upstream's test rule leaves the video: below 0, with fewer than L - 1 frames.
        """
        if rng is not None:
            upstream = self.variant != "repaired"
            draw = _upstream_random_starts if upstream else _random_starts
            return draw(num_frames, self.num_segments, self.frames_per_segment, rng)[None]
        within = (0.5, 0.0)[: self.clips]  # the middle of each segment, then its beginning
        return np.stack([self._fixed_starts(num_frames, where) for where in within])

    def _fixed_starts(self, num_frames: int, where: float) -> npt.NDArray[np.int64]:
        t, last = self.num_segments, num_frames - self.frames_per_segment
        if self.variant == "repaired":
            return starts_within(where, num_starts(num_frames, t, self.frames_per_segment), t)
        if self.variant == "upstream-val" and last < t:
            return np.zeros(t, dtype=np.int64)
        tick = (last + 1) / t
        return (tick * where + tick * np.arange(t)).astype(np.int64)  # truncates toward zero


@dataclass(frozen=True)
class _FixedLength(FrameRule):
    num_frames: int

    @property
    def frames(self) -> int:
        """Frames a clip has."""
        return self.num_frames

    def in_segments(self, segments: int) -> Self:
        """The same rule for so many frames."""
        return replace(self, num_frames=segments)


@dataclass(frozen=True)
class Dense(_FixedLength):
    """`num_frames` frames of a window of `span` consecutive frames (I3D, Kinetics rows of TSM).

    The stride is span // num_frames. Training draws the window, test spreads `clips` windows from
    the first to the last (one: the middle one). A video with too few frames for the stride gives
    frames spread evenly over all of it.

    Variant "upstream" wraps short videos around, has stride 0 when num_frames > span, starts a
    single test clip at frame 0, and with an `rng` is the published train *and* validation rule.

    >>> Dense(num_frames=4, span=8, clips=2).indices(10)
    array([[0, 2, 4, 6],
           [2, 4, 6, 8]])
    """

    num_frames: int = 8
    span: int = 64
    clips: int = 10
    variant: Literal["repaired", "upstream"] = "repaired"

    def __post_init__(self) -> None:
        check_counts(num_frames=self.num_frames, span=self.span, clips=self.clips)

    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        if self.variant == "upstream":
            return self._upstream(num_frames, rng)
        offsets = _offsets(num_frames, self.num_frames, max(1, self.span // self.num_frames))
        window = max(self.span, self.num_frames)
        return _window_starts(num_frames - window + 1, self.clips, rng)[:, None] + offsets

    def _upstream(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        last = max(0, num_frames - self.span)
        if rng is None:
            starts = np.linspace(0, last, self.clips, dtype=np.int64)
        else:  # the upper bound is exclusive: `last` itself is never drawn
            starts = np.array([rng.integers(0, last) if last else 0])
        offsets = np.arange(self.num_frames) * (self.span // self.num_frames)
        return (starts[:, None] + offsets) % num_frames


@dataclass(frozen=True)
class Clips(_FixedLength):
    """Frames `stride` apart ("8x8": num_frames=8, stride=8), as many clips as asked for.

    Training draws where the clip starts, test spreads `clips` of them from the first possible
    start to the last (one: the middle one). A video too short for the stride gives frames spread
    evenly over all of it.

    >>> Clips(num_frames=4, stride=2, clips=2).indices(10)
    array([[0, 2, 4, 6],
           [3, 5, 7, 9]])
    """

    num_frames: int = 8
    stride: int = 1
    clips: int = 1

    def __post_init__(self) -> None:
        check_counts(num_frames=self.num_frames, stride=self.stride, clips=self.clips)

    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        offsets = _offsets(num_frames, self.num_frames, self.stride)
        return _window_starts(num_frames - offsets[-1], self.clips, rng)[:, None] + offsets


@dataclass(frozen=True)
class EvenFrames(_FixedLength):
    """`num_frames` frames spread evenly from the first to the last; in training drawn, in order.

    VideoLT's rule (arXiv 2105.02668), 60 frames in training and 150 in test: training draws with
    replacement and sorts, test takes linspace(0, n - 1, num_frames), truncated.

    >>> EvenFrames(num_frames=5).indices(3)
    array([[0, 0, 1, 1, 2]])
    """

    num_frames: int = 60

    clips: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_counts(num_frames=self.num_frames)

    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        if rng is not None:
            return np.sort(rng.integers(num_frames, size=self.num_frames))[None]
        return np.linspace(0, num_frames - 1, self.num_frames).astype(np.int64)[None]


@dataclass(frozen=True)
class AllFrames(FrameRule):
    """Every frame, in order: for features, of which a clip has few; `frames` is 0, "any number".

    >>> AllFrames().indices(3)
    array([[0, 1, 2]])
    """

    clips: ClassVar[int] = 1
    frames: ClassVar[int] = 0

    def _indices(self, num_frames: int, _: np.random.Generator | None) -> Indices:
        return np.arange(num_frames)[None]


def num_starts(n: int, t: int, length: int) -> int:
    """Frames of n at which one of t segments may start; so many that t of n may differ."""
    return max(n - length + 1, min(n, t))


def starts_within(
    where: float | npt.NDArray[np.float64], count: int, t: int
) -> npt.NDArray[np.int64]:
    """The start `where` (0 to 1) of the way through each of t equal segments of `count` starts."""
    starts = ((np.arange(t) + where) * count / t).astype(np.int64)
    return np.minimum(starts, count - 1)  # i + 0.999... may round up to i + 1


def _random_starts(n: int, t: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    starts = num_starts(n, t, length)
    where = rng.random(t) if starts > t else 0.5  # nothing to choose: repeat evenly
    return starts_within(where, starts, t)


def _upstream_random_starts(
    n: int, t: int, length: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    starts = n - length + 1
    if starts >= t:
        segment = starts // t
        return np.arange(t) * segment + rng.integers(segment, size=t)
    if n > t and starts > 0:
        return np.sort(rng.integers(starts, size=t))
    return np.zeros(t, dtype=np.int64)


def _offsets(n: int, t: int, stride: int) -> npt.NDArray[np.int64]:
    """t frames `stride` apart, or spread evenly over the n there are if they do not reach."""
    if (t - 1) * stride < n:
        return np.arange(t) * stride
    return np.arange(t) * n // t


def _window_starts(
    count: int, clips: int, rng: np.random.Generator | None
) -> npt.NDArray[np.int64]:
    """Starts [v] among max(1, count): one drawn, or `clips` from the first to the last."""
    last = max(0, count - 1)
    if rng is not None:
        return np.array([rng.integers(last + 1)])
    if clips == 1:
        return np.array([last // 2])
    return np.linspace(0, last, clips, dtype=np.int64)
