"""A manifest that is mapped into memory: ten million rows open at once, and processes share them.

`write_manifest(manifest, "NAME.arrow")` writes one Arrow record batch: paths and ids, labels as
numbers, splits, groups and sources as codes, spans, frame counts and rates as they are in memory.
Its rows were checked before they were written, and the batch carries a mark that says so, with the
format's version, the number of rows and their digest; so reading checks nothing again (but that
paths stay below an explicit root), and such a file is to be taken only from people one trusts. The
mark stands on the batch, not in the schema: a tool that writes the table anew loses it, and what it
wrote is checked wholly, as a CSV is.

Rows of a split lie together (in the order they had), so that a split is a stretch of the file and
costs no copy. What travels to another process is the file's name and the stretch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from marey.data.features.feature_file import CLASSES, read_class_names
from marey.data.manifest.columns import BOUNDS, ID, Unit
from marey.errors import ManifestError
from marey.storage.atomic import replacing

Column: TypeAlias = np.ndarray | pa.ChunkedArray | pa.DictionaryArray
VERSION = 1
AGAIN = "write it again: `marey data convert NAME.csv NAME.arrow`"


@dataclass(frozen=True)
class Mapped:
    """Rows [start, stop) of a checked file."""

    path: Path
    heads: tuple[str, ...]
    start: int
    stop: int
    num_rows: int
    """Of the whole file."""
    digest: str
    """Of the whole file with all its heads, as `Manifest.digest` has it."""
    inside: bool
    """Whether every path stays below its root."""
    stamp: tuple[int, int]
    """Size and time of change, by which another process knows the file."""

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The fields of a `Manifest`, where they lie in the file.

        ManifestError if the file has been replaced since it was opened.
        """
        batch = _open(self.path)[0].slice(self.start, self.stop - self.start)
        if _stamp(self.path) != self.stamp:
            raise ManifestError(f"{self.path} was replaced while it was in use", "start again")
        classes = read_class_names(batch)
        unit: Unit = "frames" if "start_frame" in batch.schema.names else "seconds"
        found = {name: _array(batch[name]) for name in batch.schema.names}
        start, end = BOUNDS[unit]
        return {
            "paths": pa.chunked_array([batch["path"]]),
            "labels": {head: found[head] for head in self.heads},
            "classes": {head: classes[head] for head in self.heads},
            "splits": found.get("split"),
            "groups": found.get("group"),
            "sources": found.get("source"),
            "ids": pa.chunked_array([batch[ID]]) if ID in found.keys() - {*self.heads} else None,
            "starts": found.get(start),
            "ends": found.get(end),
            "unit": unit,
            "frame_counts": found.get("num_frames"),
            "rates": found.get("fps"),
        }

    @property
    def is_whole(self) -> bool:
        """Whether these are all rows of the file."""
        return (self.start, self.stop) == (0, self.num_rows)

    def part(self, rows: np.ndarray) -> Mapped | None:
        """These rows (int64) of it, if they are a stretch of one row after another."""
        if not len(rows) or rows[-1] - rows[0] != len(rows) - 1 or (np.diff(rows) != 1).any():
            return None
        first = self.start + int(rows[0])
        return replace(self, start=first, stop=first + len(rows))

    def __getstate__(self) -> dict[str, Any]:  # another process maps the file anew
        return {name: value for name, value in self.__dict__.items() if name != "columns"}


def open_mapped(path: Path, heads: Mapping[str, int] | None) -> Mapped | None:
    """All rows of the file at `path`; None if it does not say that they were checked.

    heads: name -> number of classes, as the model has them; default: all.
    """
    batch, mark = _open(path)
    if mark is None or mark["rows"] != batch.num_rows:
        return None
    if mark["version"] != VERSION:
        raise ManifestError(f"{path} has version {mark['version']}, this is {VERSION}", AGAIN)
    known = read_class_names(batch)
    for head, num_classes in (heads or {}).items():
        if head not in known:
            raise ManifestError(f"{path}: no column '{head}', only {', '.join(known)}")
        if len(known[head]) != num_classes:
            raise ManifestError(
                f"{path} has {len(known[head])} classes; the model's head '{head}' has "
                f"{num_classes}",
                "train with the heads of this manifest, or correct the file",
            )
    names = tuple(known if heads is None else heads)
    return Mapped(
        path, names, 0, batch.num_rows, batch.num_rows, mark["digest"], mark["inside"], _stamp(path)
    )


def write_mapped(
    columns: Mapping[str, Column],
    classes: Mapping[str, tuple[str, ...]],
    path: Path,
    *,
    digest: str,
    inside: bool,
) -> None:
    """Write checked columns, by their names in a manifest file, to `path`."""
    arrays = [_stored(column) for column in columns.values()]
    schema = pa.record_batch(arrays, list(columns)).schema
    schema = schema.with_metadata({CLASSES: json.dumps(dict(classes))})
    mark = {"version": VERSION, "rows": len(arrays[0]), "digest": digest, "inside": inside}
    with replacing(path) as file, pa.ipc.new_file(file, schema) as writer:
        batch = pa.record_batch(arrays, schema=schema)
        writer.write_batch(batch, custom_metadata={_MARK: json.dumps(mark)})


_MARK = b"marey.checked"


def _open(path: Path) -> tuple[pa.RecordBatch, dict[str, Any] | None]:
    """The one record batch, and the mark it carries; an empty one if the file is another's."""
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        if file.num_record_batches != 1:
            return pa.record_batch([], []), None
        batch, said = file.get_batch_with_custom_metadata(0)
        batch.validate()
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{path}: not an Arrow file: {error}", AGAIN) from error
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror or error}") from error
    mark = (said or {}).get(_MARK)
    return batch, None if mark is None else _facts(mark)


def _facts(mark: bytes) -> dict[str, Any] | None:
    """What a mark says; None for one that says something else, whose file is checked wholly."""
    try:
        facts = json.loads(mark)
        return facts if facts.keys() >= {"version", "rows", "digest", "inside"} else None
    except (ValueError, AttributeError):
        return None


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _stored(column: Column) -> pa.Array:
    """One array; labels of several classes as a string of k bytes a row."""
    if isinstance(column, np.ndarray):
        if column.ndim == 1:
            return pa.array(column)
        rows = pa.py_buffer(np.ascontiguousarray(column, dtype=bool))
        return pa.Array.from_buffers(pa.binary(column.shape[1]), len(column), [None, rows])
    if isinstance(column, pa.DictionaryArray):
        return column
    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _array(column: pa.Array) -> Column:
    """The inverse of `_stored`, without a copy."""
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        flat = np.frombuffer(column.buffers()[1], bool)
        return flat.reshape(-1, width)[column.offset : column.offset + len(column)]
    if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind):
        return column
    numbers: np.ndarray = column.to_numpy(zero_copy_only=True)
    return numbers
