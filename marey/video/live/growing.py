"""A folder that grows, as a stream: of pictures, or of videos that are parts of one recording.

What lies there is taken first, and then what comes, in the order of the times at which files were
last changed. A picture is a frame, and that time is its own. A video is taken once it has not
changed for a second; its frames follow those of the video before. The stream ends when the folder
is gone.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from marey.errors import DecodeError
from marey.storage.faults import read_error
from marey.storage.regular import read_regular
from marey.video.live.file import VideoAsStream
from marey.video.live.moment import Moment
from marey.video.reading.jpeg import MOST_BYTES, decode_image
from marey.video.reading.pixels import Picture

PICTURE = re.compile(r"[^.].*\.(jpe?g|png|webp|bmp|tiff?)", re.I | re.S)
VIDEO = re.compile(r"[^.].*\.(mp4|m4v|mkv|webm|mov|avi|ts|m2ts|mts|mpe?g|flv|3gp)", re.I | re.S)
"""Files whose names begin with a dot are being written."""
POLL_SECONDS = 0.05
STILL_SECONDS = 1.0
"""For so long a file has not changed that is taken to be whole, as far as was seen."""
LONG_SECONDS = 60.0
"""The same by the file's own time: what lies there at the beginning is not waited for."""
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
            is_video = bool(VIDEO.fullmatch(file.path.name))
            of_file = "videos" if is_video else "pictures"
            if kind and of_file != kind:
                raise DecodeError(
                    f"{self.path} holds {kind}, and now {of_file}: {file.path.name}",
                    "give a folder of one of them",
                )
            kind = of_file
            if is_video:
                for each in self._of_video(file.path, stop, at):
                    yield each
                    at = each.seconds if isinstance(each, Moment) else at
            else:
                first = file.changed if first is None else first
                yield _moment(file, file.changed - first)

    def _of_video(self, path: Path, stop: threading.Event, at: float) -> Iterator[Moment | str]:
        begin = at + FRAME_SECONDS if at else 0.0
        try:
            for each in VideoAsStream(path, self.hurry).moments(stop):
                if isinstance(each, Moment):
                    each = replace(each, seconds=begin + each.seconds)
                yield each
        except DecodeError as error:
            yield f"left out: {error}"


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
    fault: DecodeError | None = None
    """Why it could not."""

    @property
    def is_still(self) -> bool:
        """Whether it has not changed for long enough to be whole, or never to be."""
        now = time.monotonic(), time.time()
        return now[0] - self.since >= STILL_SECONDS or now[1] - self.changed >= LONG_SECONDS

    def is_whole(self) -> bool:
        """Whether nobody writes it any more; of a picture, it is enough that it can be decoded."""
        if VIDEO.fullmatch(self.path.name):
            return self.is_still
        try:
            self.picture = decode_image(read_regular(self.path, most=MOST_BYTES), self.path)
        except OSError as error:
            self.fault = read_error(self.path, error)
        except DecodeError as error:
            self.fault = error
        return self.picture is not None or self.is_still


def _moment(file: _File, seconds: float) -> Moment | str:
    picture = file.picture
    return f"left out: {file.fault}" if picture is None else Moment(seconds, lambda: picture)


def _new_files(folder: Path, stop: threading.Event) -> Iterator[_File]:
    """The pictures and videos that are whole, in the order in which they were changed."""
    taken: set[str] = set()
    waiting: dict[str, _File] = {}
    while not stop.is_set():
        began = time.monotonic()
        try:
            there = _listing(folder)
        except FileNotFoundError:
            if not taken and not waiting:
                raise DecodeError(f"{folder}: there is no such folder") from None
            return
        except OSError as error:
            raise read_error(folder, error) from error
        taken &= there.keys()  # of a folder that is emptied as it grows, names are forgotten
        for name in there.keys() - taken:
            before, now = waiting.get(name), there[name]
            if before is None or (before.changed, before.size) != (now.changed, now.size):
                waiting[name] = now
        waiting = {name: file for name, file in waiting.items() if name in there}
        for name, file in sorted(waiting.items(), key=lambda of: (of[1].changed, of[0])):
            if file.is_whole():
                del waiting[name]
                taken.add(name)
                yield file
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
