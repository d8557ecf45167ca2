"""FFmpeg's view of a file: open it and pick the stream; and say why not.

PyAV turns FFmpeg's log off by default, so nothing here writes to standard error.
"""

from __future__ import annotations

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from marey.errors import DecodeError
from marey.storage.faults import read_error
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


def _open(path: AnyPath) -> InputContainer:
    try:
        return _raw_open(path)
    except av.FFmpegError as error:
        reason = _last_words(path) or str(error.strerror)
        raise DecodeError(f"{path}: {reason}", _remedy(reason)) from error
    except OSError as error:  # of a store
        raise read_error(path, error, UNREACHED) from error


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
