"""The columns of a manifest: their names, and how each lies in a table in memory.

| column                             | in a table                                    | unknown   |
| ---------------------------------- | --------------------------------------------- | --------- |
| path, id                           | text                                          | ""        |
| split, group, source               | coded text: a number a row, each text once    |           |
| start, end, start_frame, end_frame | float64                                       | NaN: open |
| fps                                | float64                                       | NaN       |
| fold, num_frames                   | int64                                         | -1        |
| any other, named for a head        | int64, the index of the class; k bytes 0 or 1 |           |
|                                    | where clips have several of k classes         |           |

This is how a mapped manifest lies on the disk too (`marey.data.manifest.mapped`), so that opening
one converts nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Unit = Literal["seconds", "frames"]
BOUNDS: dict[Unit, tuple[str, str]] = {
    "seconds": ("start", "end"),
    "frames": ("start_frame", "end_frame"),
}
TEXTS = ("split", "group", "source")
FOLD = "fold"
WHOLE = (FOLD, "num_frames")
NUMBERS = (FOLD, "start", "end", "start_frame", "end_frame", "num_frames", "fps")
ID = "id"
KNOWN = ("path", "label", *TEXTS, ID, *NUMBERS)

Values: TypeAlias = Sequence[Any] | np.ndarray | pa.Array | pa.ChunkedArray
"""What a column is made of: text or numbers, None where unknown; bool [n k] for several classes."""

TEXT, CODED = pa.large_string(), pa.dictionary(pa.int32(), pa.large_string())
TYPES = (
    dict.fromkeys(("path", ID), TEXT)
    | dict.fromkeys(TEXTS, CODED)
    | dict.fromkeys(NUMBERS, pa.float64())
    | dict.fromkeys(WHOLE, pa.int64())
)
_UNKNOWN = {TEXT: "", pa.float64(): np.nan, pa.int64(): -1}


def is_parquet(path: Path) -> bool:
    """Whether the name is that of a Parquet file."""
    return path.suffix.lower() in (".parquet", ".pq")


def as_table(columns: Mapping[str, Values | None], heads: Collection[str] = ()) -> pa.Table:
    """The table of columns by their names; None is left out.

    heads: those that are labels, whatever their names; ValueError for a label that is None.
    """
    table = {}
    for name, values in columns.items():
        if values is not None:
            is_label = name in heads or name not in TYPES
            table[name] = _labels(name, values) if is_label else _known(values, TYPES[name])
    return pa.table(table)


def beside(table: pa.Table, other: pa.Table) -> pa.Table:
    """The columns of two tables of the same rows."""
    columns = (each[name] for each in (table, other) for name in each.column_names)
    return pa.table([*columns], [*table.column_names, *other.column_names])


def as_codes(values: Values) -> pa.DictionaryArray:
    """Text in one piece, coded as int32."""
    column = _chunked(values, TEXT)
    if not pa.types.is_dictionary(column.type):
        column = column.cast(TEXT).dictionary_encode()
    coded = whole(column.unify_dictionaries())
    return pa.DictionaryArray.from_arrays(
        coded.indices.cast(pa.int32()), coded.dictionary.cast(TEXT)
    )


def repeated(text: str, num_rows: int) -> pa.DictionaryArray:
    """Coded text that is the same in all rows."""
    codes = np.zeros(num_rows, np.int32)
    return pa.DictionaryArray.from_arrays(codes, pa.array([text], TEXT))


def as_array(column: pa.ChunkedArray) -> np.ndarray:
    """The numbers of a column [n], or bool [n k], where they lie; a copy only of several pieces."""
    array = whole(column)
    if pa.types.is_fixed_size_binary(array.type):
        cells = np.frombuffer(array.buffers()[1] or b"", bool).reshape(-1, array.type.byte_width)
        return cells[array.offset : array.offset + len(array)]
    numbers: np.ndarray = array.to_numpy(zero_copy_only=True)
    return numbers


def from_array(numbers: np.ndarray) -> pa.Array:
    """The inverse of `as_array`."""
    if numbers.ndim == 1:
        return pa.array(numbers)
    cells = pa.py_buffer(np.ascontiguousarray(numbers, dtype=bool))
    return pa.Array.from_buffers(pa.binary(numbers.shape[1]), len(numbers), [None, cells])


def whole(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece; `combine_chunks` would copy also what is in one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _labels(name: str, values: Values) -> pa.ChunkedArray:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return pa.chunked_array([from_array(values)])
    column = _chunked(values, None)
    if column.null_count:
        raise ValueError(f"'{name}' is None in a row, expected the index of a class")
    return column if pa.types.is_fixed_size_binary(column.type) else column.cast(pa.int64())


def _known(values: Values, kind: pa.DataType) -> pa.ChunkedArray:
    if kind == CODED:
        return pa.chunked_array([as_codes(values)])
    column = _chunked(values, kind).cast(kind)
    return pc.fill_null(column, _UNKNOWN[kind]) if column.null_count else column


def _chunked(values: Values, kind: pa.DataType | None) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    return pa.chunked_array([values if isinstance(values, pa.Array) else pa.array(values, kind)])
