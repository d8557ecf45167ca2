"""A folder that grows, as a stream: of pictures, or of videos that are parts of one recording.

What lies there is taken first, and then what comes, in the order of the times at which files were
last changed. A picture is a frame, and that time is its own. A video is taken once it has not
changed for a second; its frames follow those of the video before. Who writes may stall for longer:
what cannot be read then is named, and taken once it has changed. The stream ends when the folder is
gone.
"""

from __future__ import annotations

import math
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from marey.errors import DecodeError
from marey.storage.faults import read_error
from marey.storage.regular import read_regular
from marey.video.live.file import VideoAsStream
from marey.video.live.moment import Moment, moment_of
from marey.video.reading.jpeg import MOST_BYTES, decode_image
from marey.video.reading.pixels import Picture

PICTURE = re.compile(r"[^.].*\.(jpe?g|png|webp|bmp|tiff?)", re.I | re.S)
VIDEO = re.compile(r"[^.].*\.(mp4|m4v|mkv|webm|mov|avi|ts|m2ts|mts|mpe?g|flv|3gp)", re.I | re.S)
"""Files whose names begin with a dot are being written."""
POLL_SECONDS = 0.05
STILL_SECONDS = 1.0
"""For so long a file has not changed that is taken to be whole, as far as was seen."""
LONG_SECONDS = 60.0
"""The same by its own time, of what lies there at the beginning: that is not waited for."""
FRAME_SECONDS = 1 / 25
"""Between the last frame of a video and the first one of the next."""


@dataclass(frozen=True)
class GrowingFolder:
    """The pictures or videos of a folder; with `hurry`, videos are not shown at their pace."""

    path: Path
    hurry: bool = False

    breaks = False

    @property
    def name(self) -> str:
        """Where it lies."""
        return str(self.path)

    def moments(self, stop: threading.Event) -> Iterator[Moment | str]:
        """What lies there and what comes; DecodeError if it holds both, or is no folder."""
        kind, first, at = "", None, 0.0
        for file in _new_files(self.path, stop):
            if isinstance(file, str):
                yield file
                continue
            is_video = bool(VIDEO.fullmatch(file.path.name))
            of_file = "videos" if is_video else "pictures"
            if kind and of_file != kind:
                raise DecodeError(
                    f"{self.path} holds {kind}, and now {of_file}: {file.path.name}",
                    "give a folder of one of them",
                )
            kind = of_file
            if is_video:
                for each in self._of_video(file, stop, at):
                    yield each
                    at = each.seconds if isinstance(each, Moment) else at
            elif file.picture is not None:
                first = file.changed if first is None else first
                yield moment_of(file.changed - first, file.picture)
            if file.fault:
                yield f"left out, unless it changes: {file.fault}"

    def _of_video(self, file: _File, stop: threading.Event, at: float) -> Iterator[Moment | str]:
        begin = at + FRAME_SECONDS if at else 0.0
        try:
            for each in VideoAsStream(file.path, self.hurry).moments(stop):
                if isinstance(each, Moment):
                    each = replace(each, seconds=begin + each.seconds)
                yield each
        except DecodeError as error:
            file.fault = str(error)


@dataclass
class _File:
    path: Path
    changed: float
    """In seconds."""
    size: int
    since: float = field(default_factory=time.monotonic)
    """When it was first seen as it is now."""
    picture: Picture | None = None
    """What is in it, once it could be decoded."""
    fault: str = ""
    """Why it could not be read; the error itself would keep the bytes that were read."""

    @property
    def is_still(self) -> bool:
        """Whether it has not changed for long enough to be whole, or not to be for now."""
        return time.monotonic() - self.since >= STILL_SECONDS

    def is_as(self, other: _File) -> bool:
        """Whether nobody has written since it was the other one."""
        return (self.changed, self.size) == (other.changed, other.size)

    def is_whole(self) -> bool:
        """Whether nobody writes it any more; of a picture, it is enough that it can be decoded."""
        if VIDEO.fullmatch(self.path.name):
            return self.is_still
        try:
            self.picture = decode_image(read_regular(self.path, most=MOST_BYTES), self.path)
            self.fault = ""
        except OSError as error:
            self.fault = str(read_error(self.path, error))
        except DecodeError as error:
            self.fault = str(error)
        return self.picture is not None or self.is_still


def _new_files(folder: Path, stop: threading.Event) -> Iterator[_File | str]:
    """The pictures and videos that are whole, in the order in which they were changed.

    With those that have not changed for long: if they get a fault then, they come again once they
    have changed. A video that grows after it was taken is said.
    """
    taken: dict[str, _File] = {}
    waiting: dict[str, _File] = {}
    is_first = True
    while not stop.is_set():
        began = time.monotonic()
        try:
            there = _listing(folder)
        except FileNotFoundError:
            if is_first:
                raise DecodeError(f"{folder}: there is no such folder") from None
            return
        except OSError as error:
            raise read_error(folder, error) from error
        # of a folder that is emptied as it grows, names are forgotten
        taken = {name: file for name, file in taken.items() if name in there}
        for name, now in there.items():
            before, known = taken.get(name), waiting.get(name)
            is_done = before is not None and (not before.fault or now.is_as(before))
            if before and is_done and now.size > before.size and VIDEO.fullmatch(name):
                before.size = sys.maxsize  # said once
                yield f"{now.path} has grown since it was taken: what is new in it is left out"
            if not is_done and (known is None or not now.is_as(known)):
                waiting[name] = now
                if is_first and time.time() - now.changed >= LONG_SECONDS:
                    now.since = -math.inf
        is_first = False
        waiting = {name: file for name, file in waiting.items() if name in there}
        for name, file in sorted(waiting.items(), key=lambda of: (of[1].changed, of[0])):
            if file.is_whole():
                del waiting[name]
                taken[name] = file
                yield file
                file.picture = None
        stop.wait(max(POLL_SECONDS, 4 * (time.monotonic() - began)))


def _listing(folder: Path) -> dict[str, _File]:
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not (PICTURE.fullmatch(entry.name) or VIDEO.fullmatch(entry.name)):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            found[entry.name] = _File(Path(entry.path), status.st_mtime, status.st_size)
    return found
