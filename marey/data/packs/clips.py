"""A clip of a manifest as packing sees it: which frames, when each is shown, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.data.manifest.manifest import VideoClip
from marey.errors import DecodeError
from marey.video.reading.frame_folder import FrameFolder
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.jpeg import encode_jpeg, plain_jpeg_size
from marey.video.reading.pack import PackedClip
from marey.video.reading.pixels import ShortSide, Size
from marey.video.reading.pyav import VideoFile
from marey.video.reading.reader import frame_range, open_video

Pixels = NDArray[np.uint8]
"""One picture, uint8 [h w 3]."""


@dataclass(frozen=True)
class Shots:
    """The frames of an open clip that are to be kept."""

    video: VideoFile | FrameFolder | PackedClip
    indices: NDArray[np.int64]
    """In the file [t], rising."""
    seconds: NDArray[np.float64]
    """When each is shown, from 0: [t], or [0] where nobody knows."""
    fps: float | None

    def pictures(self, scale: ShortSide) -> Iterator[Pixels]:
        """The frames, one at a time."""
        return self.video.pictures(self.indices, scale)

    def jpegs(self, scale: ShortSide, quality: int) -> Iterator[tuple[bytes, Size]]:
        """The frames as JPEG and their size; what is JPEG of that size already is copied."""
        for index, picture in zip(self.indices.tolist(), self.pictures(scale), strict=True):
            height, width, _ = picture.shape
            if not isinstance(self.video, VideoFile):
                data = self.video.data(index)
                if plain_jpeg_size(data) == (width, height):
                    yield data, (width, height)
                    continue
            yield encode_jpeg(picture, quality=quality), (width, height)


@contextmanager
def open_clip(clip: VideoClip, *, fps: float | None = None) -> Iterator[Shots]:
    """The frames of a clip: all in its span, or `fps` of them a second.

    At a lower rate, what is shown at the times 0, 1 / fps, 2 / fps, ... is taken, each frame once.
    """
    video = _open(clip)
    with video:
        first, stop = (0, len(video)) if clip.span is None else frame_range(video, clip.span)
        indices, rate = np.arange(first, stop), clip.fps or video.fps
        clock = times_of(video, clip.fps)[first:stop]
        clock = clock - clock[:1]
        if fps is not None:
            if not len(clock):
                raise DecodeError(
                    f"{clip.path}: at {fps:g} frames a second of how many?",
                    "give the manifest a column fps",
                )
            kept = at_rate(clock, fps)
            indices, clock = indices[kept], clock[kept]
            rate = min(fps, rate or fps)
        yield Shots(video, indices, clock, rate)


def at_rate(seconds: NDArray[np.float64], fps: float) -> NDArray[np.int64]:
    """Which of the frames shown at `seconds`, from 0, are shown at 0, 1 / fps, 2 / fps, ...

    One that begins a twentieth of the step late still counts: stamps are often whole milliseconds.

    >>> at_rate(np.array([0.0, 0.04, 0.08, 0.12, 0.16, 0.2]), 10)
    array([0, 2, 5])
    """
    ticks = np.arange(int(seconds[-1] * fps + _SLACK) + 1)
    shown = np.searchsorted(seconds, ticks / fps + _SLACK / fps, side="right") - 1
    return np.unique(shown)


_SLACK = 0.05


def _open(clip: VideoClip) -> VideoFile | FrameFolder | PackedClip:
    """The whole file, with the true count of a video where the manifest's is another."""
    video = open_video(clip.path, num_frames=clip.num_frames)
    assert isinstance(video, VideoFile | FrameFolder | PackedClip)
    if isinstance(video, VideoFile) and clip.num_frames is not None:
        try:
            video.timestamps()  # compares with the packets, and counts if they differ
        except DecodeError:
            video.close()
            return VideoFile(clip.path)
    return video


def times_of(video: FrameReader, fps: float | None) -> NDArray[np.float64]:
    """When each frame is shown, in seconds from the first.

    Of pictures without times by their rate, `fps`; nothing without one.
    """
    try:
        return video.timestamps()
    except DecodeError:
        if isinstance(video, VideoFile):
            raise
        return np.arange(len(video)) / fps if fps else np.zeros(0)
