"""Parts that hold Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa


def write_table(table: pa.Table, part: BinaryIO) -> None:
    """Write the table of a part."""
    with pa.ipc.new_file(part, table.schema) as writer:
        writer.write_table(table)


def read_tables(parts: Iterable[Path]) -> Iterator[pa.Table]:
    """The tables of parts, one after the other; their columns lie in the mapped files."""
    for path in parts:
        yield pa.ipc.open_file(pa.memory_map(str(path))).read_all()
