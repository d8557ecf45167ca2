"""Parts that hold Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from marey.errors import RunError
from marey.storage.arrow_files import read_arrow


def write_table(table: pa.Table, part: BinaryIO) -> None:
    """Write the table of a part."""
    with pa.ipc.new_file(part, table.schema) as writer:
        writer.write_table(table)


def read_tables(parts: Iterable[Path]) -> Iterator[pa.Table]:
    """The tables of parts, one after the other; their columns lie in the mapped files.

    RunError names a part that is damaged.
    """
    for path in parts:
        yield read_arrow(path, RunError, "remove it, and give the same command")
