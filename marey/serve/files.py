"""Private files: for one video each, of a random name, gone when their request is."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from marey.serve.refusals import Refused
from marey.serve.threads import in_thread

PIECE = 1 << 20
"""Bytes that are written at a time."""


class Incoming:
    """A new private file of what comes, piece by piece, up to a limit; a context."""

    def __init__(self, path: Path, most: int) -> None:
        """The file that is made at `path`, of at most so many bytes; `Refused` if it cannot be."""
        self._file, self._most, self.size = new_file(path), most, 0
        self._waiting = bytearray()

    def __enter__(self) -> Incoming:
        """The file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._file.close()

    async def add(self, piece: bytes | bytearray) -> None:
        """Take in what came; `Refused` where it is too much, or there is no room for it."""
        self.size += len(piece)
        if self.size > self._most:
            raise too_large(self._most)
        self._waiting += piece
        if len(self._waiting) >= PIECE:
            await self.write()

    async def write(self) -> None:
        """Write what has not been, without keeping other requests waiting."""
        if self._waiting:
            data, self._waiting = self._waiting, bytearray()
            await in_thread(lambda _: write_all(self._file, data))


@contextmanager
def private_file(folder: Path) -> Iterator[Path]:
    """A path in `folder` for one file, which is gone after the block."""
    path = folder / secrets.token_hex(16)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def new_file(path: Path) -> BinaryIO:
    """A file that is made at `path`, for nobody else to read; `Refused` where it cannot be."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _no_room(error) from error
    return os.fdopen(descriptor, "wb", buffering=0)


def write_all(file: BinaryIO, data: bytes | bytearray) -> None:
    """Write all of it to an unbuffered file; `Refused` where there is no room."""
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> Refused:
    return Refused(
        503, f"the video cannot be kept: {error.strerror}", "send it again later", retry_after=5
    )


def too_large(most: int) -> Refused:
    """The refusal of what has more bytes than this server takes."""
    return Refused(413, f"over {most:,} bytes", "cut the video, or scale it down (--max-bytes)")
