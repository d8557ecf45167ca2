"""Record batches that carry a checksum: a bit that flipped in their file is an error, or nothing.

Arrow's files have no checksums. Here each record batch carries one in its metadata: of its columns,
of the schema, of its other metadata, of its place among the rows and of whether it is the last. So
it holds for what is read, wherever in the file that stands. Vectors are left out: they may be many
gigabytes, and have a checksum a clip (`marey.data.features.feature_file`).

A tool that writes the table anew loses the checksums, and files of an earlier marey have none: they
are held to the rules of Arrow alone. A checksum tells damage, not malice: whoever reads a file
validates it all the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from marey.errors import ManifestError
from marey.storage.arrow_files import as_errors, crc32_of, map_file

MARK = b"marey.crc32"
Metadata: TypeAlias = dict[bytes, bytes]


class MarkedWriter:
    """Appends record batches to an Arrow file, each with its checksum; see `marked_writer`."""

    def __init__(self, file: pa.ipc.RecordBatchFileWriter) -> None:
        self._file, self._first = file, 0
        self._held: tuple[pa.RecordBatch, Metadata] | None = None

    def write(self, batch: pa.RecordBatch, metadata: Metadata | None = None) -> None:
        """Append a batch, one call late: the last is marked as that."""
        self._release(is_last=False)
        self._held = batch, metadata or {}

    def finish(self) -> None:
        """Write what is held back."""
        self._release(is_last=True)

    def _release(self, *, is_last: bool) -> None:
        if self._held is None:
            return
        batch, metadata = self._held
        mark = _mark(batch, metadata, self._first, is_last=is_last)
        self._file.write_batch(batch, custom_metadata={**metadata, MARK: mark})
        self._first, self._held = self._first + len(batch), None


@contextmanager
def marked_writer(file: BinaryIO, schema: pa.Schema) -> Iterator[MarkedWriter]:
    """A writer of record batches of `schema` into an open file."""
    with pa.ipc.new_file(file, schema) as arrow:
        writer = MarkedWriter(arrow)
        yield writer
        writer.finish()


def read_batches(path: Path, hint: str) -> Iterator[tuple[pa.RecordBatch, Metadata]]:
    """The record batches of the file at `path` and their metadata, mapped and not looked at."""
    with as_errors(path, "an Arrow file", ManifestError, hint):
        file = pa.ipc.open_file(map_file(path))
        for number in range(file.num_record_batches):
            batch, metadata = file.get_batch_with_custom_metadata(number)
            yield batch, dict(metadata or {})


def read_checked(path: Path, hint: str) -> tuple[list[tuple[pa.RecordBatch, Metadata]], bool]:
    """What `read_batches` gives, validated; whether there were checksums, which then are right.

    Raises:
        ManifestError: no Arrow file, one that lies, or other bytes than were written.
    """
    batches = list(read_batches(path, hint))
    with as_errors(path, "an Arrow file", ManifestError, hint):
        for batch, _ in batches:
            batch.validate(full=True)
        marks = [metadata.pop(MARK, None) for _, metadata in batches]
        is_marked = any(marks)
        if is_marked and marks != _marks(batches):
            raise ManifestError(f"{path} is damaged: it holds other bytes than were written", hint)
    return batches, is_marked


def _marks(batches: Sequence[tuple[pa.RecordBatch, Metadata]]) -> list[bytes]:
    """The marks of all batches of a file."""
    firsts = accumulate((len(batch) for batch, _ in batches), initial=0)
    lasts = [*(False for _ in batches[1:]), True]
    return [
        _mark(batch, metadata, first, is_last=is_last)
        for (batch, metadata), first, is_last in zip(batches, firsts, lasts, strict=False)
    ]


def _mark(batch: pa.RecordBatch, metadata: Metadata, first: int, *, is_last: bool) -> bytes:
    crc = zlib.crc32(batch.schema.serialize(), zlib.crc32(f"{first} {is_last}".encode()))
    for name, value in sorted(metadata.items()):
        crc = zlib.crc32(name + b"\0" + value, crc)
    for column in batch.columns:
        crc = crc32_of(pc.list_value_length(column) if _holds_vectors(column) else column, crc)
    return str(crc).encode()


def _holds_vectors(column: pa.Array) -> bool:
    kind = column.type
    return bool(pa.types.is_large_list(kind) and pa.types.is_fixed_size_list(kind.value_type))
