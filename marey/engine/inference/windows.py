"""A long video as overlapping windows, each of which a model sees as a clip of its own.

Frames are decoded once and in order, however many windows show them; held are those that a window
still needs. (A file whose frames nobody has counted is also gone through once beforehand, without
pictures, as everywhere in marey: a window's frames are spread over as many as it has.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from marey.errors import DecodeError, counted
from marey.timelines.segments import Moments, Segment, SegmentRule, moments, segments_of
from marey.types import check_numbers
from marey.video.crops import Crop
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.pixels import Picture
from marey.video.sampling.segments import Indices

MOST_WINDOWS = 100
"""For each frame: more are a slip of the finger, and would fill the memory."""


class Window(NamedTuple):
    """From `start` to `end` in seconds, and the frames [first, last) that lie there."""

    start: float
    end: float
    first: int
    last: int


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowScores:
    """What a model says of every window of a video.

    Args:
        windows: n of them, by their start.
        probabilities: head -> float [n k].
        classes: head -> its k names.
        times: when each frame of the video is shown, in seconds.
        several: heads whose clips have several classes at a time.
    """

    windows: Sequence[Window]
    probabilities: Mapping[str, Tensor]
    classes: Mapping[str, tuple[str, ...]]
    times: np.ndarray
    several: frozenset[str] = frozenset()

    @property
    def seconds(self) -> float:
        """How long the video is."""
        return max(window.end for window in self.windows)

    def segments(self, rule: SegmentRule | None = None) -> list[Segment]:
        """What happens when, of each head in turn; ValueError if the rule's classes are none."""
        rule = rule or SegmentRule()
        rule.check_classes(self.classes)
        return [
            segment
            for head, names in self.classes.items()
            for segment in segments_of(
                self.moments(head, rule),
                names,
                rule,
                several=head in self.several,
                head=head if len(self.classes) > 1 else "",
            )
        ]

    def moments(self, head: str, rule: SegmentRule) -> Moments:
        """The smoothed probabilities of a head over time; none of a single frame."""
        of = self.probabilities[head].double().numpy()
        lasting = self._windows[:, 0] < self._windows[:, 1]  # a picture lasts no time
        found = moments(self._windows[lasting], of[lasting], step=rule.step)
        return found.smoothed(rule.smooth)

    @cached_property
    def _windows(self) -> np.ndarray:
        return np.array([window[:2] for window in self.windows])


def stride_of(window: float, stride: float | None, *, in_a_window: int = 2) -> float:
    """How often a window begins, in seconds; where it is not said, so often in each.

    ValueError if one of the two is not above 0. A stride may be longer than the window: what is
    `unseen` then is said to the user.
    """
    check_numbers(above=0, window_seconds=window, stride_seconds=stride)
    return window / in_a_window if stride is None else stride


def unseen(window: float, stride: float) -> str:
    """What is in no window, in words; "" if there is nothing.

    >>> unseen(2, 5), unseen(2, 2)
    ('3 s of every 5 s are in no window', '')
    """
    return f"{stride - window:g} s of every {stride:g} s are in no window" * (stride > window)


def check_window(times: np.ndarray, window: float, video: object = "the video") -> None:
    """DecodeError, of a `video` with these times, if so many seconds of it hold no two frames."""
    step = frame_seconds(times)
    if window < 2 * step * 0.999:
        frames = f"{len(times):,}, one every {step:.4g} s"
        raise DecodeError(
            f"{video}: a window of {window:g} s holds no two frames of {frames}",
            f"give at least {2 * step:.4g}",
        )


def frame_seconds(times: np.ndarray) -> float:
    """How long the middle frame of a video with these times is shown; 0 of a single one."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def windows(
    times: np.ndarray, window: float, stride: float, video: object = "the video"
) -> Iterator[Window]:
    """Every window that holds a frame; DecodeError, of the `video`, if there are too many.

    `times` are the frames' seconds, from 0. A video shorter than the window is one window; what
    the last whole stride leaves over is covered by a window that ends with the video.
    """
    stride_of(window, stride)
    step = frame_seconds(times)
    length = float(times[-1]) + step
    steps, most = (length - window) / stride, MOST_WINDOWS * len(times)
    if steps >= most:  # also where it is endless
        raise DecodeError(
            f"{video}: a window every {stride:g} s is over {most:,} windows of"
            f" {counted(len(times), 'frame')}",
            "give a longer stride",
        )
    count = max(1, int(np.floor(steps + 1e-6)) + 1)
    starts = [i * stride for i in range(count)]
    if starts[-1] + window < length - max(step, 1e-3) / 2:
        starts.append(length - window)
    for start in starts:
        end = min(start + window, length)
        first, last = np.searchsorted(times, [start - 1e-6, end - 1e-6])
        if end == length:  # also where the only frame has no duration that is known
            last = len(times)
        if last > first:
            yield Window(round(start, 3), round(end, 3), int(first), int(last))


def views_of_windows(
    reader: FrameReader, indices: Sequence[Indices], crop: Crop
) -> Iterator[Tensor]:
    """The views uint8 [v t 3 h w] of each window, whose frames are int64 [v t], in order.

    DecodeError names a frame that cannot be read.
    """
    wanted = np.unique(np.concatenate([of.ravel() for of in indices]))
    still = np.minimum.accumulate([of.min() for of in indices][::-1])[::-1]  # and those after it
    held: dict[int, Picture] = {}
    at = 0
    for index, picture in zip(wanted.tolist(), reader.pictures(wanted), strict=True):
        held[index] = picture
        while at < len(indices) and indices[at].max() <= index:
            yield torch.cat([crop(_clip(held, clip)) for clip in indices[at]])
            at += 1
            needed = still[at] if at < len(indices) else index + 1
            held = {of: frame for of, frame in held.items() if of >= needed}


def _clip(held: Mapping[int, Picture], clip: np.ndarray) -> Tensor:
    """Frames uint8 [t 3 h w], channels last in memory as decoded."""
    return torch.from_numpy(np.stack([held[i] for i in clip.tolist()])).permute(0, 3, 1, 2)
