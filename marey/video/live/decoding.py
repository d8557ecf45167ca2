"""Pictures of a container that FFmpeg has open, as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from fractions import Fraction
from functools import partial
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from marey.errors import DecodeError
from marey.video.live.moment import Moment
from marey.video.reading.pixels import Picture, ToRGB, require_size, square_size

CLOCKLESS = frozenset(
    (
        *("mjpeg", "mpjpeg", "mjpeg_2000", "jpeg_pipe", "png_pipe", "image2pipe", "webp_pipe"),
        *("bmp_pipe", "rawvideo", "h261", "h263", "h264", "hevc", "m4v", "mpegvideo", "av1", "obu"),
    )
)
"""FFmpeg's demuxers of streams that carry no times, for which it makes up 25 frames a second."""


def moments(
    name: str,
    container: InputContainer,
    stream: VideoStream,
    *,
    live: bool,
    hint: str = "",
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Moment | str]:
    """The frames from now on, with the times of the stream. What does not decode is passed over.

    Args:
        live: whether frames come as they are filmed, so that a stream without times has those at
            which they arrive. Another one has those of its frames a second.
        hint: what may help where reading fails.
        now: the clock of arrivals.

    Raises:
        DecodeError: reading fails, of a live stream or before any frame; anything else that is
            damaged ends there.
    """
    rgb, kind, rate = _Upright(name, stream), container.format.name, Fraction(25)
    if kind in CLOCKLESS:
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        taken = "the times of arrival" if live else f"{rate} frames a second"
        yield f"{kind} carries no times: {taken} are taken"
    first: float | None = None
    seconds: float | None
    try:
        for number, frame in enumerate(_frames(container, stream)):
            if kind in CLOCKLESS:  # FFmpeg makes times up for some of these, and for others none
                seconds = now() if live else float(number / rate)
            else:
                seconds = _seconds(frame)
            if seconds is None:
                continue  # what comes before the first key frame of a stream that is joined late
            first = seconds if first is None else first
            yield Moment(seconds - first, partial(rgb, frame))
    except av.FFmpegError as error:
        if live or first is None:
            raise DecodeError(f"{name}: reading broke off: {error.strerror}", hint) from error
        yield f"breaks off: {error.strerror}"


def _seconds(frame: av.VideoFrame) -> float | None:
    """When a frame is shown, or decoded if that is all that its container says."""
    if frame.time is not None:
        return frame.time
    if frame.dts is None or frame.time_base is None:
        return None
    return float(frame.dts * frame.time_base)


class _Upright:
    """Frames -> pictures of the size that each has: a stream may change it."""

    def __init__(self, name: str, stream: VideoStream) -> None:
        self._name, self._stream = name, stream
        self._size = 0, 0

    def __call__(self, frame: av.VideoFrame) -> Picture:
        """The picture; DecodeError if it is too large, or of a format without an RGB form."""
        size = frame.width, frame.height
        if size != self._size:
            square = square_size(*size, self._stream.sample_aspect_ratio)
            self._to_rgb, self._size = ToRGB(require_size(self._name, square)), size
        try:
            return self._to_rgb(frame)
        except av.FFmpegError as error:
            raise DecodeError(
                f"{self._name}: {frame.format.name} has no RGB form: {error.strerror}"
            ) from error


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    flow = cast("Generator[Packet[VideoStream]]", container.demux(stream))
    with closing(flow):  # PyAV leaks a packet when it is just dropped
        for packet in flow:
            try:
                frames = stream.decode(packet)
            except av.FFmpegError:  # a damaged packet; the next key frame mends it
                continue
            yield from frames
