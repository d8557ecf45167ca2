"""A large file in a store, read by blocks, of which the last few stay in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import lru_cache

BLOCK, MAX_BLOCKS = 4 << 20, 8


class Blocks(io.RawIOBase):
    """A file of `size` bytes to read and seek in; `fetch` gives bytes of it by (start, number)."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._size, self._at = size, 0
        width = BLOCK
        self._width = width
        self._block = lru_cache(MAX_BLOCKS)(
            lambda number: fetch(number * width, min(width, size - number * width))
        )

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new place."""
        before = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(before + offset, 0)
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """How many bytes were read: all that `buffer` holds, or what one block has left."""
        if self._at >= self._size:
            return 0
        number, inside = divmod(self._at, self._width)
        data = self._block(number)[inside : inside + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
