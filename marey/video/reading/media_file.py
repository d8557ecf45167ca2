"""The bytes of one video file, all that FFmpeg gets of the disk: it opens nothing itself.

So a file that names others cannot have them read. What FFmpeg asks for in vain is counted: a file
that makes it read on and on, and gives no picture, is refused before the memory is full.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import PurePosixPath
from typing import BinaryIO

from marey.errors import DecodeError
from marey.storage.faults import read_error
from marey.storage.regular import open_regular
from marey.storage.url import UNREACHED, AnyPath, Url

PICTURE = r"\.(jpe?g|png|webp|bmp|tiff?|jp2|j2k|jxl)"
MOST_UNUSED = 128 << 20
"""Bytes read for one picture: more than cameras make, or the index of a day's video has."""


class MediaFile:
    """A file that is read and sought in as PyAV does it.

    What goes wrong meanwhile ends the file for FFmpeg, and is raised by `check` (PyAV would print
    what it meets twice). `unused`: bytes read since whoever got a picture of them set it to 0.
    """

    def __init__(self, path: AnyPath) -> None:
        self.path, self.unused = path, 0
        self.name = "video" + _telling(PurePosixPath(path.name).suffix)
        try:
            self._file: BinaryIO = path.open() if isinstance(path, Url) else open_regular(path)
            self._size = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._failed(error) from error
        self._at = 0
        self._fault: DecodeError | None = None

    def check(self) -> None:
        """Raise what went wrong in reading: a `DecodeError`, or nothing."""
        if self._fault is not None:
            raise self._fault

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or as many as there are; none from a fault on."""
        size = min(size if size >= 0 else self._size, self._size - self._at)
        if size <= 0 or self._fault is not None:
            return b""
        try:
            data = self._read(size)
        except DecodeError as fault:
            self._fault = fault
            return b""
        self._at += len(data)
        self.unused += len(data)
        return data

    def _read(self, size: int) -> bytes:
        if self.unused > MOST_UNUSED:
            raise DecodeError(
                f"{self.path}: no picture in {MOST_UNUSED >> 20} MiB of it",
                "the video is damaged: get a new copy",
            )
        try:
            self._file.seek(self._at)
            return self._file.read(size)
        except OSError as error:
            raise self._failed(error) from error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new place; a negative number, as FFmpeg wants it, where there is none."""
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            return -errno.EINVAL
        self._at = at
        return at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _failed(self, error: OSError) -> DecodeError:
        hints = [UNREACHED] if isinstance(self.path, Url) else []
        return read_error(self.path, error, *hints)


def _telling(suffix: str) -> str:
    """`suffix`, by which FFmpeg guesses formats; none of a picture, which it would open itself."""
    return "" if re.fullmatch(PICTURE, suffix, re.I) else suffix
