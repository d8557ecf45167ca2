"""FFmpeg's view of a file: open it, pick the stream, demux, decode; and say why not.

PyAV turns FFmpeg's log off by default, so nothing here writes to standard error.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import cast

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from marey.errors import DecodeError
from marey.storage.url import UNREACHED, AnyPath, Url

TEXT_FORMATS = frozenset({"tty", "bin", "xbin", "adf", "idf"})
"""Demuxers that render any text as a video, chosen by the file's name alone."""
PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails

LEAVE_OUT = "leave it out of the list of clips"
LARGE_PIXELS = 2560 * 1440
LOCAL_FILES_ONLY = {"protocol_whitelist": "file"}
"""A playlist in the guise of a video must not reach for the network, and wait for it."""
NO_OTHER_FILES = {"protocol_whitelist": "none"}
"""Likewise a file of a store: neither for the network, nor for files of this machine."""


def open_stream(path: AnyPath, *, draft: bool = False) -> tuple[InputContainer, VideoStream]:
    """The open container and its video stream, ready to decode on one thread.

    `draft` is for counting: without the loop filter (other pixels, the same frames, up to a third
    faster), and with two threads for pictures so large that a short clip would take long.
    """
    container = _open(path)
    try:
        stream = _video_stream(container, path)
    except DecodeError:
        container.close()
        raise
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    context = stream.codec_context
    context.thread_count = 1
    if draft:
        context.options = {"skip_loop_filter": "all"}
        if context.width * context.height > LARGE_PIXELS:
            context.thread_count, context.thread_type = 2, ThreadType.FRAME
    return container, stream


def packets(
    container: InputContainer, stream: VideoStream, *, keys: list[int] | None = None
) -> Iterator[Packet[VideoStream]]:
    """The packets of `stream` from here on; a file that breaks off ends there.

    The presentation time of every key packet is noted in `keys`.
    """
    flow = cast("Generator[Packet[VideoStream]]", container.demux(stream))
    with closing(flow):  # PyAV leaks a packet when it is just dropped
        while True:
            try:
                packet = next(flow, None)
            except av.FFmpegError:
                return
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            if keys is not None and packet.is_keyframe and packet.pts is not None:
                keys.append(packet.pts)
            yield packet


def decoded(
    container: InputContainer, stream: VideoStream, *, keys: list[int] | None = None
) -> Iterator[av.VideoFrame]:
    """The frames of `stream` from here on, as shown; damaged packets are passed over."""
    for packet in packets(container, stream, keys=keys):
        yield from _decode(stream, packet)
    yield from _decode(stream, None)


def no_frames(path: AnyPath) -> DecodeError:
    """The error of a video stream of which nothing decodes."""
    container, stream = open_stream(path)
    filled, locked = 0, False
    with container:
        for packet in packets(container, stream):
            filled += packet.size > 0
            locked = locked or packet.has_sidedata("encryption_info")
    if locked:
        return DecodeError(f"{path}: the video is encrypted", "get a copy without protection")
    if not filled:
        return DecodeError(
            f"{path}: a header without pictures", "the file is cut short: get a new copy"
        )
    return DecodeError(
        f"{path}: no frame decodes, in {filled} packets",
        "the video is damaged or encrypted: get a new copy",
    )


def _decode(stream: VideoStream, packet: Packet[VideoStream] | None) -> list[av.VideoFrame]:
    try:
        return stream.decode(packet)
    except av.error.MemoryError as error:  # a frame left out for want of it would shift the rest
        name, context = stream.container.name.removeprefix("file:"), stream.codec_context
        raise DecodeError(
            f"{name}: not enough memory for a picture of {context.width} x {context.height}",
            "is the size true? if so, scale the video down once, before training",
        ) from error
    except av.FFmpegError:
        return []


def _open(path: AnyPath) -> InputContainer:
    try:
        return _raw_open(path)
    except av.FFmpegError as error:
        reason = _last_words(path) or str(error.strerror)
        raise DecodeError(f"{path}: {reason}", _remedy(reason)) from error
    except OSError as error:  # of a store
        raise DecodeError(f"{path}: {error.strerror}", UNREACHED) from error


def _raw_open(path: AnyPath) -> InputContainer:
    if isinstance(path, Url):
        return av.open(
            path.open(), mode="r", metadata_errors="replace", container_options=NO_OTHER_FILES
        )
    # "file:" keeps a name like "a:b.mp4" or "-c.mp4" from being taken for anything else
    return av.open(
        f"file:{path}", mode="r", metadata_errors="replace", container_options=LOCAL_FILES_ONLY
    )


def _last_words(path: AnyPath) -> str:
    """What FFmpeg logged last when it refused the file, or nothing."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)  # errors are kept for the exception, none is shown
    try:
        _raw_open(path).close()
    except av.FFmpegError as error:
        return str(error.args[3][2]).strip() if len(error.args) > 3 else ""
    finally:
        av.logging.set_level(level)
    return ""


def _remedy(reason: str) -> str:
    if "moov atom" in reason:
        return "the file is cut short, or is no mp4 at all: get a new copy"
    return "is it a video? `ffprobe FILE` shows what FFmpeg makes of it"


def _video_stream(container: InputContainer, path: AnyPath) -> VideoStream:
    """The first video stream that is not a cover picture."""
    streams = container.streams.video
    if container.format.name in TEXT_FORMATS:
        raise DecodeError(f"{path}: a text file, not a video", LEAVE_OUT)
    if not streams:
        kinds = " and ".join(sorted({stream.type for stream in container.streams}))
        raise DecodeError(
            f"{path}: no video stream, the file holds {kinds or 'nothing'}", LEAVE_OUT
        )
    moving = [stream for stream in streams if not stream.disposition & PICTURES]
    if not moving:
        raise DecodeError(f"{path}: no video stream but a cover picture", LEAVE_OUT)
    if moving[0].codec_context is None:
        raise DecodeError(f"{path}: FFmpeg has no decoder for its video", "re-encode it as H.264")
    return moving[0]
