"""Standard input as a stream: any container that can be read without going back, or bare pixels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np

from marey.errors import DecodeError
from marey.types import check_counts
from marey.video.live.decoding import moments
from marey.video.live.moment import Moment, moment_of
from marey.video.reading.ffmpeg_stream import LIMITS, NOTHING_ELSE, video_stream
from marey.video.reading.pixels import require_size

NAME = "standard input"
GIVE = (
    "pipe Matroska, MPEG-TS or MJPEG; an mp4 must be a file, as its index is at the end. "
    "Bare pixels need their size: --raw WIDTHxHEIGHT"
)


@dataclass(frozen=True)
class Piped:
    """A stream of pictures (MJPEG), or a container such as Matroska or MPEG-TS, as it comes."""

    file: BinaryIO

    breaks = False
    name = NAME

    def moments(self, stop: threading.Event) -> Iterator[Moment | str]:
        """The frames; DecodeError if FFmpeg finds no video in what comes."""
        try:
            container = av.open(
                _Ahead(self.file),
                mode="r",
                metadata_errors="replace",
                options=LIMITS,
                container_options=NOTHING_ELSE,
                buffer_size=4096,  # a picture is not held back until the next ones fill it
            )
        except av.FFmpegError as error:
            raise DecodeError(f"{NAME}: {error.strerror}", GIVE) from error
        with container:
            stream = video_stream(container, NAME)
            for each in moments(NAME, container, stream, live=True, hint=GIVE):
                if stop.is_set():
                    return
                yield each


@dataclass(frozen=True)
class RawPiped:
    """Bare pixels: frames of height x width x 3 bytes, RGB, one after the other.

    They carry no times: those at which they arrive are taken.
    """

    file: BinaryIO
    width: int
    height: int

    breaks = False
    name = NAME

    def __post_init__(self) -> None:
        check_counts(width=self.width, height=self.height)
        require_size(NAME, (self.width, self.height))

    def moments(
        self, stop: threading.Event, now: Callable[[], float] = time.monotonic
    ) -> Iterator[Moment | str]:
        """The frames; what is less than a frame at the end is left out, and said."""
        size, first = self.width * self.height * 3, None
        while not stop.is_set():
            picture = np.empty((self.height, self.width, 3), np.uint8)
            came = _filled(picture.data.cast("B"), self.file)
            if came < size:
                if came:
                    yield f"ends within a frame: {came:,} of its {size:,} bytes came"
                return
            seconds = now()
            first = seconds if first is None else first
            yield moment_of(seconds - first, picture)


def _filled(place: memoryview, file: BinaryIO) -> int:
    """How many bytes came until `place` was full, or the file ended."""
    came = 0
    while came < len(place) and (more := file.readinto(place[came:])):  # type: ignore[attr-defined]
        came += more
    return came


class _Ahead:
    """A pipe as PyAV reads it: what there is, without waiting for more, and no way back."""

    def __init__(self, file: BinaryIO) -> None:
        self._read = getattr(file, "read1", file.read)

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        data: bytes = self._read(size)
        return data
