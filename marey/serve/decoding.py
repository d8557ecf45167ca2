"""What a decoding process does: from a file of a stranger to views, within limits.

Before anything is decoded the file is looked over: its header, and its packets by number and time.
So a bomb (a small file of very many frames, or of a very large one) costs no decoding. What a
decoder does nevertheless is bounded by memory, by no files that it may write, and by time, which
the server keeps.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import simplejpeg
import torch

from marey.data.checks.probe import doubt
from marey.data.loading.clips import memory_ran_out
from marey.engine.inference.windows import frame_seconds, views_of_windows
from marey.errors import MareyError
from marey.recipes.recipe import TestViews
from marey.serve.limits import Limits
from marey.serve.refusals import Refused, refusal
from marey.video.reading.decoding import packets
from marey.video.reading.ffmpeg_stream import announced_frames, open_stream
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.jpeg import JPEG, decode_jpeg
from marey.video.reading.pyav import VideoFile
from marey.video.sampling.segments import at_rate

Views: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [v t 3 h w]: the test views of a clip."""
Range: TypeAlias = tuple[int, int]
"""The first frame of a part of a video, and the one after its last."""


@dataclass(frozen=True, eq=False)
class Video:
    """A video that was found to be within the limits."""

    times: npt.NDArray[np.float64]
    """When each frame is shown, in seconds from the first."""
    width: int
    height: int
    fps: float | None
    """By which its frames are picked, as readers say it."""
    doubt: str = ""
    """What it is, where that is to be said with an answer."""

    @property
    def seconds(self) -> float:
        """How long it is shown, its last frame as long as the others."""
        return float(self.times[-1]) + frame_seconds(self.times)


@dataclass(frozen=True)
class Look:
    """Asks what a file holds: a `Video`."""

    path: Path


@dataclass(frozen=True)
class Read:
    """Asks for the views of parts of a video, each a clip: one `Views` for each."""

    path: Path
    num_frames: int
    """That were found in it."""
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class Picture:
    """Asks for the pixels of a JPEG: uint8 [h w 3]."""

    data: bytes


Job: TypeAlias = Look | Read | Picture
Decoded: TypeAlias = Video | tuple[Views, ...] | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Decoder:
    """Does jobs; called in a process that it confines."""

    test: TestViews
    limits: Limits

    def __call__(self, job: Job) -> Decoded | Refused:
        """What was asked for, or why there is none; no message names a path of this machine."""
        confine(self.limits.memory)
        try:
            return self._do(job)
        except Refused as refused:
            return refused
        except MareyError as error:
            name = "the picture" if isinstance(job, Picture) else str(job.path)
            return _without_path(refusal(error), name)
        except (MemoryError, RuntimeError) as error:
            if memory_ran_out(error):
                return Refused(413, "too large for the memory", "scale it down (--max-memory)")
            return _unforeseen(error)
        except Exception as error:  # noqa: BLE001  # else the process would end, for one file
            return _unforeseen(error)

    def _do(self, job: Job) -> Decoded:
        if isinstance(job, Picture):
            return read_picture(job.data, self.limits)
        if isinstance(job, Look):
            return look(job.path, self.limits)
        with VideoFile(job.path, num_frames=job.num_frames) as reader:
            return tuple(read_views(reader, job.ranges, self.test))


def look(path: Path, limits: Limits) -> Video:
    """What is in the file, whose frames are counted once header and packets are within limits.

    Raises:
        Refused: it is longer or larger than the limits.
        DecodeError: it is no video that can be read.
    """
    with open_stream(path) as opened:
        _check_pixels(opened.stream.width, opened.stream.height, limits)
        _check_frames(announced_frames(opened), limits)
        first, last, unit = inf, -inf, float(opened.stream.time_base or 0)
        for number, packet in enumerate(packets(opened), start=1):
            opened.file.unused = 0  # they are read to be counted
            _check_frames(number, limits)
            if packet.pts is not None:
                first, last = min(first, packet.pts * unit), max(last, packet.pts * unit)
                _check_seconds(last - first, limits)
    with VideoFile(path) as reader:
        times = reader.timestamps()
        height, width, _ = next(reader.pictures([0])).shape
        told, fps = doubt(len(times), reader.announced), reader.fps
    _check_pixels(width, height, limits)
    _check_seconds(float(times[-1]), limits)
    return Video(times, width, height, fps, told)


def read_views(reader: FrameReader, ranges: Sequence[Range], test: TestViews) -> list[Views]:
    """The test views of parts of a video, as `Predictor` has them of a whole one."""
    sampling = at_rate(test.sampling, reader.fps)
    indices = [first + sampling.indices(end - first) for first, end in ranges]
    return [each.contiguous().numpy() for each in views_of_windows(reader, indices, test.crop)]


def read_picture(data: bytes, limits: Limits) -> npt.NDArray[np.uint8]:
    """The picture [h w 3] in a JPEG; its size is looked at first.

    Raises:
        Refused: it is larger than the limits.
        DecodeError: it is no JPEG, or damaged.
    """
    if data.startswith(JPEG):  # others have no size, and are refused below
        with suppress(ValueError, KeyError):
            height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
            _check_pixels(width, height, limits)
    return np.ascontiguousarray(decode_jpeg(data, "the picture"))


@cache
def confine(memory: int) -> None:
    """Let this process take so many bytes more than it has, write no file, and leave no core.

    Once; where the system has such limits.
    """
    torch.set_num_threads(1)  # the processes are many
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    for what, most in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        raise Refused(
            413,
            f"a frame of {width} x {height}, expected at most {limits.pixels:,} pixels",
            "scale it down (--max-pixels)",
        )


def _check_frames(number: int, limits: Limits) -> None:
    if number > limits.frames:
        raise Refused(
            413,
            f"a video of over {limits.frames:,} frames",
            "cut it into shorter ones (--max-frames)",
        )


def _check_seconds(seconds: float, limits: Limits) -> None:
    if seconds > limits.seconds:
        raise Refused(
            413,
            f"a video of over {limits.seconds:g} s",
            "cut it into shorter ones (--max-seconds)",
        )


def _without_path(refused: Refused, path: str) -> Refused:
    message, hint = (text.replace(path, "the video") for text in (refused.message, refused.hint))
    return Refused(refused.status, message, hint)


def _unforeseen(error: Exception) -> Refused:
    return Refused(422, f"it cannot be decoded ({type(error).__name__})", "re-encode it as H.264")
