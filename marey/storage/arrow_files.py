"""Files of Arrow and Parquet, opened without trust: an error that names the file, or its data.

Arrow believes every offset it reads: one that lies is read past the end of memory, and the process
dies. So all that is read from a file is validated before it is used, which costs 30 ms for a
million rows of a manifest, and does not look at numbers.
"""

from __future__ import annotations

import binascii
import mmap
import zlib
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.errors import MareyError, RunError

if TYPE_CHECKING:  # Parquet brings Arrow's stores along: it is loaded where a file of it is
    from pyarrow.parquet import ParquetFile, ParquetWriter

DAMAGE = (pa.ArrowException, UnicodeDecodeError, OverflowError, MemoryError, binascii.Error)
"""What Arrow, and reading its words, raise of bytes that are not as they should be."""


def map_file(path: Path) -> pa.Buffer:
    """The bytes of the file where they lie on the disk; OSError as `open` has it.

    Arrow's own `memory_map` takes names of UTF-8 alone.
    """
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return pa.py_buffer(b"")  # no system maps an empty file
        return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read_arrow(path: Path, error: type[MareyError] = RunError, hint: str = "") -> pa.Table:
    """The table in an Arrow file, mapped and validated; an `error` names a file that is none."""
    with as_errors(path, "an Arrow file", error, hint):
        table = pa.ipc.open_file(map_file(path)).read_all()
        table.validate(full=True)
        return table


def read_parquet(
    path: Path,
    columns: Sequence[str] | None = None,
    error: type[MareyError] = RunError,
    hint: str = "",
) -> pa.Table:
    """The table in a Parquet file, validated; an `error` names a file that is none."""
    with as_errors(path, "a Parquet file", error, hint):
        table = _parquet(path).read(columns)
        table.validate(full=True)
        return table


def parquet_columns(path: Path, error: type[MareyError] = RunError, hint: str = "") -> list[str]:
    """The names of the columns of a Parquet file; an `error` names a file that is none."""
    with as_errors(path, "a Parquet file", error, hint):
        return list(_parquet(path).schema_arrow.names)


def write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write a table with checksums, which `read_parquet` compares."""
    with parquet_writer(file, table.schema) as writer:
        writer.write_table(table)


def parquet_writer(file: BinaryIO, schema: pa.Schema) -> ParquetWriter:
    """A writer of a table in pieces, with checksums."""
    from pyarrow.parquet import ParquetWriter

    return ParquetWriter(file, schema, write_page_checksum=True)


def _parquet(path: Path) -> ParquetFile:
    """The open file; ArrowInvalid if names or numbers of rows are others than were written.

    Pages have checksums, but not what stands about them; that is there twice.
    """
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(pa.BufferReader(map_file(path)), page_checksum_verification=True)
    groups = (file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))
    if sum(groups) != file.metadata.num_rows:
        raise pa.ArrowInvalid("it has other rows than were written")
    stored = (file.metadata.metadata or {}).get(b"ARROW:schema")
    if stored is not None:
        written = pa.ipc.read_schema(pa.py_buffer(b64decode(stored)))
        if written.names != file.schema_arrow.names:
            raise pa.ArrowInvalid("its columns have other names than were written")
    return file


@contextmanager
def as_errors(path: Path, kind: str, error: type[MareyError], hint: str = "") -> Iterator[None]:
    """What Arrow raises in the block of a file that is missing, damaged or lies, as `error`."""
    try:
        yield
    except OSError as fault:
        if fault.errno is not None:
            raise error(f"cannot read {path}: {fault.strerror or fault}", hint) from fault
        raise error(f"{path}: not {kind}, or damaged: {fault}", hint) from fault
    except DAMAGE as fault:
        reason = "it claims more than the memory" if isinstance(fault, MemoryError) else fault
        raise error(f"{path}: not {kind}, or damaged: {reason}", hint) from fault


def crc32_of(array: pa.Array, crc: int = 0) -> int:
    """A checksum, begun at `crc`, of what an array holds, wherever and in how many bytes."""
    kind = array.type
    crc = zlib.crc32(str(len(array)).encode(), crc)
    if array.null_count:
        valid = np.packbits(array.is_valid().to_numpy(zero_copy_only=False))
        crc = zlib.crc32(valid.tobytes(), crc)
    if pa.types.is_dictionary(kind):
        return crc32_of(array.dictionary, crc32_of(array.indices, crc))
    if pa.types.is_fixed_size_list(kind):
        start = array.offset * kind.list_size
        return crc32_of(array.values.slice(start, len(array) * kind.list_size), crc)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        ends = array.offsets.to_numpy()
        crc = zlib.crc32(np.diff(ends), crc)
        return crc32_of(array.values.slice(ends[0], ends[-1] - ends[0]), crc)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy()
        return zlib.crc32(_text(array), zlib.crc32(lengths, crc))
    width = kind.bit_width // 8
    data = array.buffers()[1]
    start, size = array.offset * width, len(array) * width
    return zlib.crc32(memoryview(data)[start : start + size] if size else b"", crc)


def _text(array: pa.Array) -> memoryview:
    """The bytes of all strings, one after another."""
    _, offsets, data = array.buffers()
    if not len(array) or data is None:
        return memoryview(b"")
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    ends = np.frombuffer(offsets, kind, array.offset + len(array) + 1)[array.offset :]
    return memoryview(data)[int(ends[0]) : int(ends[-1])]
