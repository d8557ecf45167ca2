"""Files opened only if they are files: a named pipe, a device or a socket may give bytes for ever,
or none and wait."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BinaryIO:
    """The file at `path` (links are followed), open to read, unbuffered.

    Raises:
        OSError: it cannot be opened; EINVAL, with its kind in words, if it is no regular file.
    """
    _require_regular(path.stat())  # before opening, which is an action on some devices
    # what took its place meanwhile does not block either
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
    try:
        _require_regular(os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: Path, *, most: int = 1 << 32) -> bytes:
    """All bytes of the regular file at `path`; OSError as above, EFBIG if it has over `most`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"the file has {size:,} bytes, more than {most:,}")
        return file.read(size)


def refuse_stream(path: Path) -> None:
    """OSError where neither a file nor a folder lies, but what is read once, or for ever."""
    if path.exists() and not path.is_dir():
        _require_regular(path.stat())


def _require_regular(status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"{KINDS.get(kind, 'something')}, not a file")
