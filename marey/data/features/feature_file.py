"""A file of features: what a network saw in every clip of a manifest, in place of the pixels.

It is an Arrow file and a manifest at once: its columns are those of a manifest (path, labels, split
...) and `features`, lists of vectors of float16 or float32, one a frame; how many may differ from
clip to clip. A column of one vector a clip is read too. What made them and the class names stand in
the metadata of the file. A clip that could not be read keeps its row, with an empty list and the
reason in the column `error`: it counts as missing, as it would among videos.

The file is mapped into memory: it opens at once whatever its size, the system reads what is used,
and loader processes share it. Its columns have checksums, compared when it is opened
(`marey.data.features.marks`); so have the vectors of each clip, in the column `crc32`, compared
when the clip is first read.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.features.marks import MarkedWriter, marked_writer, read_batches, read_checked
from marey.errors import DecodeError, ManifestError, counted
from marey.storage.atomic import Failure, manifest_error, replacing
from marey.storage.text_files import as_value, reading

COLUMN, ERROR, CRC32 = "features", "error", "crc32"
SUFFIXES = (".arrow", ".feather")
AGAIN = "write it again; `marey features` and `marey data pack` write files of features"
CLASSES = b"marey.classes"
"""What the class names of every head stand under in the metadata of an Arrow file."""

About: TypeAlias = Mapping[str, Any]
"""What made features: the model, the digest of its weights, the views, the manifest's digest.

Empty if the file does not say."""
Vectors: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.int64]


class Features(Protocol):
    """The features of every row of a manifest, wherever they are kept."""

    @property
    def dim(self) -> int:
        """Numbers a vector has."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the numbers are stored as."""
        ...

    @property
    def about(self) -> About:
        """What made them."""
        ...

    def num_frames(self, row: int) -> int:
        """Vectors of a clip; DecodeError if it has none."""
        ...

    def read(self, row: int, indices: Rows) -> Vectors:
        """The vectors asked for, float32 [*indices d]; DecodeError if they cannot be read."""
        ...

    def take(self, rows: Rows) -> Self:
        """The features of these rows, in that order."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureFile:
    """The features of every row of a file of features, or of some rows of it."""

    path: Path
    dim: int
    """Numbers a frame has."""
    about: About
    batches: Rows
    """Record batch [n] in which each clip stands."""
    starts: Rows
    """First frame [n] of each clip among all of its record batch."""
    lengths: Rows
    """Frames [n] of each clip, 0 for one that could not be read."""
    errors: Mapping[int, str] = field(default_factory=dict)
    """Row -> why it could not be read."""
    more: tuple[Path, ...] = ()
    """Files whose record batches follow those of `path`."""
    crcs: npt.NDArray[np.uint32] | None = None
    """Checksum [n] of each clip's vectors, if the file has them."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the numbers are stored as."""
        return self._frames[0].dtype

    def num_frames(self, row: int) -> int:
        """Frames of a clip; DecodeError if it has none."""
        if not self.lengths[row]:
            raise DecodeError(self.errors.get(row) or f"{self.path}: an empty list of features")
        return int(self.lengths[row])

    def read(self, row: int, indices: Rows) -> Vectors:
        """The frames asked for, float32 [*indices d]; DecodeError if the clip's are damaged."""
        frames: npt.NDArray[Any] = self._frames[self.batches[row]]
        start = self.starts[row]
        if self.crcs is not None and not self._compared[row]:
            if _crc32(frames[start : start + self.lengths[row]]) != self.crcs[row]:
                raise DecodeError(f"{self.path}: the features of row {row + 1} are damaged", AGAIN)
            self._compared[row] = True
        vectors: Vectors = frames[start + indices].astype(np.float32, copy=False)
        return vectors

    def take(self, rows: Rows) -> FeatureFile:
        """The features of these rows, in that order."""
        old = enumerate(rows.tolist())
        return replace(
            self,
            batches=self.batches[rows],
            starts=self.starts[rows],
            lengths=self.lengths[rows],
            crcs=None if self.crcs is None else self.crcs[rows],
            errors={new: self.errors[row] for new, row in old if row in self.errors},
        )

    @cached_property
    def _frames(self) -> list[npt.NDArray[Any]]:
        """All frames [m d] of every record batch, where they lie."""
        files = (read_batches(path, AGAIN) for path in (self.path, *self.more))
        return [_vectors(batch[COLUMN], self.dim) for batch, _ in chain.from_iterable(files)]

    @cached_property
    def _compared(self) -> npt.NDArray[np.bool_]:
        """Whether this process has compared the clip [n] with its checksum."""
        return np.zeros(len(self.lengths), dtype=bool)

    def __getstate__(self) -> dict[str, Any]:  # another process maps the file anew
        own = ("_frames", "_compared")
        return {name: value for name, value in self.__dict__.items() if name not in own}


def is_arrow(path: Path) -> bool:
    """Whether the name is that of an Arrow file."""
    return path.suffix.lower() in SUFFIXES


def open_table(path: Path) -> pa.Table:
    """The table in an Arrow file, mapped; ManifestError if it is none, or damaged."""
    batches, is_marked = read_checked(path, AGAIN)
    table = pa.Table.from_batches([batch for batch, _ in batches]) if batches else pa.table({})
    if CRC32 in table.column_names and not is_marked:  # another tool may have changed the vectors
        return table.drop_columns(CRC32)
    return table


def features_of(path: Path, table: pa.Table) -> FeatureFile | None:
    """The features in the `table` of the file at `path`; None if it has no such column."""
    if COLUMN not in table.column_names:
        return None
    column = table[COLUMN]
    dim = _dim(path, column.type)
    empty = column.null_count or sum(_num_empty(chunk) for chunk in column.chunks)
    if empty:
        raise ManifestError(
            f"{path}: null in {counted(empty, 'cell')} of '{COLUMN}'",
            "a clip without features has an empty list",
        )
    sizes = [len(chunk) for chunk in column.chunks]
    ends = [_ends(chunk) for chunk in column.chunks]
    return FeatureFile(
        path=path,
        dim=dim,
        about=_metadata(path, table, _ABOUT),
        batches=np.repeat(np.arange(len(sizes)), sizes),
        starts=np.concatenate([np.zeros(0, np.int64), *(e[:-1] - e[0] for e in ends)]),
        lengths=np.concatenate([np.zeros(0, np.int64), *map(np.diff, ends)]),
        errors=_errors(table),
        crcs=_crcs(table),
    )


def joined(files: Sequence[FeatureFile]) -> FeatureFile:
    """The rows of whole files of features of one width, in order, as those of one."""
    counts = [int(file.batches.max(initial=-1)) + 1 for file in files]
    firsts = accumulate((len(file.batches) for file in files), initial=0)
    crcs = [file.crcs for file in files if file.crcs is not None]
    return replace(
        files[0],
        batches=np.concatenate(
            [
                file.batches + first
                for file, first in zip(files, accumulate(counts, initial=0), strict=False)
            ]
        ),
        starts=np.concatenate([file.starts for file in files]),
        lengths=np.concatenate([file.lengths for file in files]),
        errors={
            first + row: reason
            for file, first in zip(files, firsts, strict=False)
            for row, reason in file.errors.items()
        },
        crcs=np.concatenate(crcs) if len(crcs) == len(files) else None,
        more=tuple(file.path for file in files[1:]),
    )


def read_class_names(path: Path, table: pa.Table) -> dict[str, tuple[str, ...]]:
    """Head -> class names, as the table's metadata has them."""
    facts = _metadata(path, table, CLASSES)
    classes = as_value(dict[str, tuple[str, ...]], facts, path, ManifestError, AGAIN)
    for head, names in classes.items():
        if not names or len(set(names)) < len(names):
            raise ManifestError(
                f"{path}: the classes of '{head}' are none, or one is there twice", AGAIN
            )
    return classes


class FeatureWriter:
    """Appends rows to a file of features; see `feature_writer`."""

    def __init__(self, file: MarkedWriter, schema: pa.Schema) -> None:
        self._file, self._schema = file, schema

    def write(
        self, rows: pa.Table, features: list[npt.NDArray[Any]], errors: list[str | None]
    ) -> None:
        """Append `rows`, each with its vectors [t d] or, if [0 d], with its error."""
        kind = self._schema.field(COLUMN).type
        lengths = np.cumsum([0, *map(len, features)])
        flat = np.concatenate(features).astype(kind.value_type.value_type.to_pandas_dtype())
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), type=kind.value_type)
        lists = pa.LargeListArray.from_arrays(pa.array(lengths), vectors)
        columns = {name: rows[name] for name in rows.column_names}
        crcs = [_crc32(flat[start:stop]) for start, stop in pairwise(lengths)]
        columns |= {
            COLUMN: lists,
            ERROR: pa.array(errors, pa.large_string()),
            CRC32: pa.array(crcs, pa.uint32()),
        }
        table = pa.table(columns, schema=self._schema).combine_chunks()
        for batch in table.to_batches():
            self._file.write(batch)


def feature_schema(
    schema: pa.Schema,
    *,
    dim: int,
    dtype: npt.DTypeLike,
    classes: Mapping[str, tuple[str, ...]],
    about: About,
) -> pa.Schema:
    """The columns of a file of features, float16 or float32, and its metadata.

    schema: of the manifest, whose columns come first.
    """
    kind = pa.large_list(pa.list_(pa.from_numpy_dtype(np.dtype(dtype)), dim))
    for name, column in ((COLUMN, kind), (ERROR, pa.large_string()), (CRC32, pa.uint32())):
        schema = schema.append(pa.field(name, column))
    metadata = {_ABOUT: json.dumps(dict(about)), CLASSES: json.dumps(dict(classes))}
    return schema.with_metadata(metadata)


@contextmanager
def feature_writer(file: BinaryIO, schema: pa.Schema) -> Iterator[FeatureWriter]:
    """A writer of rows and their features into an open file, of a `feature_schema`."""
    with marked_writer(file, schema) as writer:
        yield FeatureWriter(writer, schema)


def join_features(paths: Sequence[Path], out: Path, failure: Failure = manifest_error) -> None:
    """Write the rows of files of features of one schema, in order, into the one file `out`.

    Raises what `failure` makes of an `OSError`.
    """
    tables = [open_table(path) for path in paths]
    with replacing(out, failure) as file, marked_writer(file, tables[0].schema) as writer:
        for batch in chain.from_iterable(table.to_batches() for table in tables):
            writer.write(batch)


_ABOUT = b"marey.features"


def _metadata(path: Path, table: pa.Table, key: bytes) -> dict[str, Any]:
    with reading(path, ManifestError, AGAIN):
        facts = json.loads((table.schema.metadata or {}).get(key, b"{}"))
    return as_value(dict[str, Any], facts, path, ManifestError, AGAIN)


def _dim(path: Path, kind: pa.DataType) -> int:
    """The width of the vectors of a column of that type."""
    is_list = pa.types.is_large_list(kind) or pa.types.is_list(kind)
    vector = kind.value_type if is_list else kind
    if not (pa.types.is_fixed_size_list(vector) and vector.list_size > 0) or not (
        pa.types.is_float16(vector.value_type) or pa.types.is_float32(vector.value_type)
    ):
        raise ManifestError(
            f"{path}: '{COLUMN}' is {kind}, expected lists of vectors of one width, float16 or "
            "float32",
            "large_list<fixed_size_list<halffloat>[d]>, as `marey features` writes",
        )
    return int(vector.list_size)


def _ends(chunk: pa.Array) -> Rows:
    """Where each clip's frames begin and end among all of the record batch, [n + 1]."""
    if pa.types.is_fixed_size_list(chunk.type):
        return np.arange(len(chunk) + 1)
    ends: Rows = chunk.offsets.to_numpy().astype(np.int64)
    return ends


def _vectors(chunk: pa.Array, dim: int) -> npt.NDArray[Any]:
    """All frames [m d] of a chunk, without a copy."""
    vectors = chunk if pa.types.is_fixed_size_list(chunk.type) else chunk.flatten()
    values: npt.NDArray[Any] = vectors.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(-1, dim)


def _num_empty(chunk: pa.Array) -> int:
    """Vectors, and numbers of vectors, that are null: they take no room, so others would move."""
    vectors = chunk if pa.types.is_fixed_size_list(chunk.type) else chunk.flatten()
    return int(vectors.null_count + vectors.flatten().null_count)


def _crc32(vectors: npt.NDArray[Any]) -> int:
    return zlib.crc32(vectors.ravel().view(np.uint8).data)


def _crcs(table: pa.Table) -> npt.NDArray[np.uint32] | None:
    """The checksum [n] of each clip, if the file has them."""
    if CRC32 not in table.column_names:
        return None
    crcs: npt.NDArray[np.uint32] = table[CRC32].to_numpy()
    return crcs


def _errors(table: pa.Table) -> dict[int, str]:
    if ERROR not in table.column_names or table[ERROR].type != pa.large_string():
        return {}
    rows = np.flatnonzero(pc.is_valid(table[ERROR]).to_numpy())
    return dict(zip(rows.tolist(), table[ERROR].take(pa.array(rows)).to_pylist(), strict=True))
