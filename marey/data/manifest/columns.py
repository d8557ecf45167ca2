"""The columns of a manifest: their names, and how each lies in a table in memory.

| column                             | in a table                                    | unknown   |
| ---------------------------------- | --------------------------------------------- | --------- |
| path, id                           | text                                          | ""        |
| split, group, source               | coded text: a number a row, each text once    |           |
| start, end, start_frame, end_frame | float64                                       | NaN: open |
| fps                                | float64                                       | NaN       |
| num_frames                         | int64                                         | -1        |
| any other, named for a head        | int64, the index of the class; k bytes 0 or 1 |           |
|                                    | where clips have several of k classes         |           |

This is how a mapped manifest lies on the disk too (`marey.data.manifest.mapped`), so that opening
one converts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
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
NUMBERS = ("start", "end", "start_frame", "end_frame", "num_frames", "fps")
ID = "id"
KNOWN = ("path", "label", *TEXTS, ID, *NUMBERS)
PARQUET = (".parquet", ".pq")
"""How the names of Parquet files end."""

Values: TypeAlias = Sequence[Any] | np.ndarray | pa.Array | pa.ChunkedArray
"""What a column is made of: text or numbers, None where unknown; bool [n k] for several classes."""

_TYPES = {"path": pa.large_string(), ID: pa.large_string()} | dict.fromkeys(NUMBERS, pa.float64())
_TYPES["num_frames"] = pa.int64()
_UNKNOWN = {ID: "", "num_frames": -1} | dict.fromkeys(
    (name for name in NUMBERS if name != "num_frames"), np.nan
)


def as_column(name: str, values: Values) -> pa.ChunkedArray:
    """The values as they lie in the column `name` of a table; numbers in one piece."""
    if name in TEXTS:
        return pa.chunked_array([as_codes(values)])
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return pa.chunked_array([from_array(values)])
    column = _chunked(values, _TYPES.get(name))
    if column.null_count:
        column = pc.fill_null(column, _UNKNOWN[name])
    if pa.types.is_fixed_size_binary(column.type):
        return column
    return column.cast(_TYPES.get(name, pa.int64()))


def as_codes(values: Values) -> pa.DictionaryArray:
    """Text in one piece, coded as int32."""
    column = _chunked(values, pa.large_string())
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.large_string()).dictionary_encode()
    coded = whole(column.unify_dictionaries())
    return pa.DictionaryArray.from_arrays(
        coded.indices.cast(pa.int32()), coded.dictionary.cast(pa.large_string())
    )


def repeated(text: str, num_rows: int) -> pa.DictionaryArray:
    """Coded text that is the same in all rows."""
    codes = np.zeros(num_rows, np.int32)
    return pa.DictionaryArray.from_arrays(codes, pa.array([text], pa.large_string()))


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


def _chunked(values: Values, kind: pa.DataType | None) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    return pa.chunked_array([values if isinstance(values, pa.Array) else pa.array(values, kind)])
