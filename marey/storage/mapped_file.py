"""A file mapped into memory, whatever bytes its name has."""

from __future__ import annotations

import mmap
from pathlib import Path

import pyarrow as pa


def map_file(path: Path) -> pa.Buffer:
    """The bytes of the file where they lie on the disk; OSError as `open` has it.

    Arrow's own `memory_map` takes names of UTF-8 alone.
    """
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return pa.py_buffer(b"")  # no system maps an empty file
        return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
