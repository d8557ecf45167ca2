"""Open a video file or a folder of frames, and read its frames by index.

    with open_video("a.mp4") as video:
        frames = video.read([0, 8, 16])      # uint8 [3 3 h w]

Indices are 0-based and count the frames that decode, in the order they are shown. `len` is that
count and never the one a file declares: the two differ as a rule in real sets. Every failure of a
file is a `DecodeError` that names the file and the reason; a wrong argument is a `ValueError`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marey.errors import DecodeError, counted
from marey.storage.faults import read_error
from marey.storage.regular import open_regular
from marey.storage.url import UNREACHED, AnyPath, Url, any_path
from marey.video.reading.ffmpeg_stream import EMPTY
from marey.video.reading.frame_folder import FrameFolder
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.pack import PackedClip, pack_of
from marey.video.reading.pixels import Picture, ShortSide
from marey.video.reading.pyav import VideoFile

Backend = Literal["pyav", "torchcodec"]

ROUNDED_UP_SECONDS = 1.0
"""How far past the last frame an annotated end may lie: people write "2 to 8" of a 7.6 s video."""


@dataclass(frozen=True)
class Span:
    """The part of a video from `start` up to but without `end`; None is the video's own end."""

    start: float | None = None
    end: float | None = None
    unit: Literal["seconds", "frames"] = "seconds"

    def __str__(self) -> str:
        start, end = ("" if value is None else f"{value:g}" for value in (self.start, self.end))
        return f"[{start}, {end}) {self.unit}"


def open_video(
    path: str | AnyPath,
    *,
    backend: Backend = "pyav",
    span: Span | None = None,
    num_frames: int | None = None,
) -> FrameReader:
    """The video at `path`, open: a context that closes it.

    Args:
        path: a file, a folder of numbered frames or a clip in a pack, here or in a store (a url).
        backend: what decodes video files; both give the same frames.
        span: the part of it that is wanted; indices then count from its first frame.
        num_frames: the decoded count of the *whole* file, which saves the decode that counts.

    Raises:
        DecodeError: there is no such video, it cannot be read, or the span is empty. A
            `num_frames` too high surfaces when a frame past the true end is read.
    """
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}, expected at least 1 or None")
    reader = _open_whole(any_path(path), backend, num_frames)
    if span is None:
        return reader
    try:
        return SpanReader(reader, *frame_range(reader, span))
    except BaseException:
        reader.close()
        raise


def _open_whole(path: AnyPath, backend: Backend, num_frames: int | None) -> FrameReader:
    if backend not in ("pyav", "torchcodec"):
        raise ValueError(f"backend is {backend!r}, expected 'pyav' or 'torchcodec'")
    if leads_into_pack(path):
        return PackedClip(path, num_frames=num_frames)
    if is_folder(path):
        return FrameFolder(path, num_frames=num_frames)
    if backend == "pyav":
        return VideoFile(path, num_frames=num_frames)
    if isinstance(path, Url):
        raise DecodeError(f"{path}: torchcodec reads files of this machine only", "backend pyav")
    from marey.video.reading.torchcodec import TorchCodecFile  # torch: only when asked for

    return TorchCodecFile(path, num_frames=num_frames)


def leads_into_pack(path: AnyPath) -> bool:
    """Whether `path` is that of a clip in a pack; DecodeError if that cannot be seen."""
    try:
        return pack_of(path) is not None
    except OSError as error:  # of a folder above, which cannot be looked at
        raise read_error(path, error) from error


def is_folder(path: AnyPath) -> bool:
    """Whether `path` is a folder; anything but a folder or a readable, filled file raises."""
    try:
        if path.is_dir():
            return True
        size = path.size if isinstance(path, Url) else _readable_size(path)
    except OSError as error:
        if isinstance(path, Url):
            raise read_error(path, error, UNREACHED) from error
        if isinstance(error, FileNotFoundError):
            is_link = path.is_symlink()
            reason = "a link to a file that is not there" if is_link else "no such file or folder"
            hint = (
                "bring back what it leads to"
                if is_link
                else "is the path right, and of a manifest its root?"
            )
            raise read_error(path, OSError(error.errno, reason), hint) from error
        raise read_error(path, error) from error
    if size == 0:
        reason, hint = EMPTY
        raise DecodeError(f"{path}: {reason}", hint)
    return False


def _readable_size(path: Path) -> int:
    with open_regular(path) as file:
        return file.seek(0, os.SEEK_END)


def frame_range(reader: FrameReader, span: Span) -> tuple[int, int]:
    """First frame of `span`, and the one after its last; `DecodeError` of one without frames."""
    if span.unit == "frames":
        bounds = _frame_bounds(span, len(reader))
        known = counted(len(reader), "frame")
    else:
        clock = reader.timestamps()
        bounds = _second_bounds(span, clock)
        known = f"frames from 0 to {clock[-1]:.3f} seconds"
    if bounds is None:
        raise DecodeError(
            f"{reader.path}: the span {span} is empty or outside the video, which has {known}",
            "are start and end in the right unit, and is end after start?",
        )
    return bounds


def _frame_bounds(span: Span, num_frames: int) -> tuple[int, int] | None:
    start = 0 if span.start is None else span.start
    end = num_frames if span.end is None else span.end
    if start != int(start) or end != int(end):
        raise ValueError(f"span {span}: frames are counted in whole numbers")
    return (int(start), int(end)) if 0 <= start < end <= num_frames else None


def _second_bounds(span: Span, clock: NDArray[np.float64]) -> tuple[int, int] | None:
    start = 0.0 if span.start is None else span.start
    end = np.inf if span.end is None else span.end
    if start < 0 or (span.end is not None and end > clock[-1] + ROUNDED_UP_SECONDS):
        return None
    first, stop = np.searchsorted(clock, [start, end])
    return (int(first), int(stop)) if first < stop else None


class SpanReader(FrameReader):
    """Frames [start, stop) of another reader, which it owns."""

    def __init__(self, base: FrameReader, start: int, stop: int) -> None:
        self.path, self.fps = base.path, base.fps
        self.base, self._start, self._stop = base, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Pictures, one at a time, in the order asked; see `FrameReader`."""
        return self.base.pictures(self.checked(indices) + self._start, scale)

    def timestamps(self) -> NDArray[np.float64]:
        """When each frame is shown, in seconds from the first of the span."""
        clock: NDArray[np.float64] = self.base.timestamps()[self._start : self._stop]
        return clock - clock[:1]

    def close(self) -> None:
        """Close the other reader."""
        self.base.close()
