"""A manifest that is mapped into memory: ten million rows open at once, and processes share them.

`write_manifest(manifest, "NAME.arrow")` writes one Arrow record batch: paths and ids, labels as
numbers, splits, groups and sources as codes, spans, frame counts and rates as they are in memory.
Its rows were checked before they were written, and the batch carries a mark that says so, with the
format's version, the number of rows and their digest. So reading does not check every rule again
(that no clip is there twice, say), but what damage and malice may have changed: bytes by their
checksums (`marey.data.features.marks`), or, of files that have none, by the digest; columns and
labels by their types and range; and that paths stay below an explicit root. That is 0.1 s for a
million rows. The mark stands on the batch, not in the schema: a tool that writes the table anew
loses it, and what it wrote is checked wholly, as a CSV is.

Rows of a split lie together (in the order they had), so that a split is a stretch of the file and
costs no copy. What travels to another process is the file's name and the stretch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from marey.data.features.feature_file import CLASSES, read_class_names
from marey.data.features.marks import marked_writer, read_batches, read_checked
from marey.data.manifest.classes import Heads, refuse_other_classes
from marey.data.manifest.columns import TYPES, as_array, from_array, whole
from marey.errors import ManifestError
from marey.storage.atomic import replacing

VERSION = 1
AGAIN = "write it again: `marey data convert NAME.csv NAME.arrow`"


@dataclass(frozen=True, kw_only=True)
class MappedRows:
    """Rows [start, stop) of a checked file, of which a manifest has the columns `names`."""

    path: Path
    names: tuple[str, ...]
    start: int
    stop: int
    digest: str
    """`Manifest.digest` of the whole file with all its heads; empty if anything is not as there."""
    is_compared: bool
    """Whether the file has checksums, which were right."""
    inside: bool
    """Whether every path stays below its root."""
    stamp: tuple[int, int]
    """Size and time of change, by which another process knows the file."""

    @cached_property
    def table(self) -> pa.Table:
        """The columns, where they lie in the file.

        ManifestError if the file has been replaced since it was opened.
        """
        ((batch, _),) = read_batches(self.path, AGAIN)  # looked at when it was opened
        batch = batch.slice(self.start, self.stop - self.start)
        if _stamp(self.path) != self.stamp:
            raise ManifestError(f"{self.path} was replaced while it was in use", "start again")
        return pa.Table.from_batches([batch]).select(self.names).replace_schema_metadata()

    def without(self, names: Iterable[str]) -> MappedRows:
        """The same rows without the columns that have one of these names."""
        kept = tuple(name for name in self.names if name not in set(names))
        return replace(self, names=kept, digest="")

    def stretch(self, rows: np.ndarray) -> MappedRows | None:
        """These rows (int64) of it, if they are a stretch of one row after another."""
        if not len(rows) or rows[-1] - rows[0] != len(rows) - 1 or (np.diff(rows) != 1).any():
            return None
        first = self.start + int(rows[0])
        is_all = len(rows) == self.stop - self.start
        digest = self.digest if is_all else ""
        return replace(self, start=first, stop=first + len(rows), digest=digest)

    def __getstate__(self) -> dict[str, Any]:  # another process maps the file anew
        return {name: value for name, value in self.__dict__.items() if name != "table"}


def open_mapped(
    path: Path, heads: Heads | None
) -> tuple[MappedRows, dict[str, tuple[str, ...]]] | None:
    """All rows of the file at `path` and the class names of its heads.

    None if it does not say that they were checked.

    heads: name -> the classes that the model has; default: all.
    """
    stamp = _stamp(path)  # before anything is read
    batches, is_marked = read_checked(path, AGAIN)
    if len(batches) != 1:
        return None
    ((batch, metadata),) = batches
    mark = _facts(metadata.get(_MARK, b""))
    if mark is None or mark["rows"] != batch.num_rows:
        return None
    if mark["version"] != VERSION:
        raise ManifestError(f"{path} has version {mark['version']}, this is {VERSION}", AGAIN)
    classes = read_class_names(path, batch)
    _refuse_columns(path, batch, classes)
    for head, of_model in (heads or {}).items():
        if head not in classes:
            raise ManifestError(
                f"{path}: no column '{head}', only {', '.join(classes)}",
                f"the model answers '{head}': give a manifest with that column of labels",
            )
        if isinstance(of_model, int):
            refuse_other_classes(path, head, classes[head], of_model)
    chosen = {head: classes[head] for head in (classes if heads is None else heads)}
    unread = classes.keys() - chosen.keys()
    rows = MappedRows(
        path=path,
        names=tuple(name for name in batch.schema.names if name not in unread),
        start=0,
        stop=batch.num_rows,
        digest=mark["digest"],
        is_compared=is_marked,
        inside=mark["inside"],
        stamp=stamp,
    )
    return rows, chosen


def write_mapped(
    table: pa.Table,
    classes: Mapping[str, tuple[str, ...]],
    path: Path,
    *,
    digest: str,
    inside: bool,
) -> None:
    """Write the table of a checked manifest to `path`."""
    arrays = [_trimmed(column) for column in table.columns]
    schema = table.schema.with_metadata({CLASSES: json.dumps(dict(classes))})
    mark = {"version": VERSION, "rows": len(table), "digest": digest, "inside": inside}
    with replacing(path) as file, marked_writer(file, schema) as writer:
        batch = pa.record_batch(arrays, schema=schema)
        writer.write(batch, {_MARK: json.dumps(mark).encode()})


_MARK = b"marey.checked"


def _facts(mark: bytes) -> dict[str, Any] | None:
    """What a mark says; None for one that says something else, whose file is checked wholly."""
    try:
        facts = json.loads(mark)
        kinds = {"version": int, "rows": int, "digest": str, "inside": bool}
        return facts if all(type(facts[name]) is kind for name, kind in kinds.items()) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _refuse_columns(
    path: Path, batch: pa.RecordBatch, classes: Mapping[str, Sequence[str]]
) -> None:
    """ManifestError for columns that no manifest has in memory, or labels that are no class."""
    names = batch.schema.names
    if "path" not in names or len(set(names)) < len(names) or not classes.keys() <= {*names}:
        raise ManifestError(f"{path} has columns {', '.join(names)[:200]}", AGAIN)
    for name, column in zip(names, batch.columns, strict=True):
        if name in classes:
            is_sound = _are_labels(column, len(classes[name]))
        else:
            is_sound = column.type == TYPES.get(name)
        if not is_sound or column.null_count or getattr(column, "dictionary", column).null_count:
            raise ManifestError(f"{path}: column '{name}' is not one of a manifest", AGAIN)


def _are_labels(column: pa.Array, num_classes: int) -> bool:
    if column.null_count:
        return False
    labels = as_array(pa.chunked_array([column])) if _holds_labels(column.type) else None
    if labels is None:
        return False
    if labels.ndim == 2:
        return labels.shape[1] == num_classes and bool((labels.view(np.uint8) <= 1).all())
    return bool(((labels >= 0) & (labels < num_classes)).all())


def _holds_labels(kind: pa.DataType) -> bool:
    return bool(kind == pa.int64() or pa.types.is_fixed_size_binary(kind))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    return status.st_size, status.st_mtime_ns


def _trimmed(column: pa.ChunkedArray) -> pa.Array:
    """In one piece and, of a stretch of a file, without the rest: Arrow writes the whole buffer."""
    if pa.types.is_dictionary(column.type) or pa.types.is_large_string(column.type):
        return whole(column)
    return from_array(as_array(column))
