"""Rows that give the same clip twice, found among ten million in about two seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.splitmix64 import mix


def duplicates(
    paths: pa.ChunkedArray, keys: Sequence[np.ndarray | pa.ChunkedArray | None]
) -> dict[int, int]:
    """Each row that has the path and the keys of an earlier row, with that earlier row.

    keys: numbers or text; None is a column that is not there.

    Rows are compared by a 64-bit hash first, eight bytes of the path at a time: 1.5 s for ten
    million rows where a hash table of strings takes 12. Only rows of equal hash are then compared.
    """
    hashes = _hash_text(paths)
    columns = [key for key in keys if key is not None]
    for key in columns:
        hashes = mix(hashes ^ mix(_hash_key(key) + np.uint64(1)))
    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    earlier: dict[int, int] = {}
    first: dict[tuple[object, ...], int] = {}
    for row in np.flatnonzero(np.isin(hashes, twice)).tolist():
        clip = (paths[row].as_py(), *(str(key[row]) for key in columns))
        if first.setdefault(clip, row) != row:
            earlier[row] = first[clip]
    return earlier


def plain(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Paths without what leads nowhere: ``./a//b/./c`` is ``a/b/c``. Urls stay as they are."""
    if not any(pc.any(pc.match_substring(paths, odd)).as_py() for odd in ("./", "//")):
        return paths
    shorter = pc.replace_substring_regex(paths, r"/+(\./+)*", "/")
    shorter = pc.replace_substring_regex(shorter, r"^(\./)+", "")
    return pc.if_else(pc.match_substring(paths, "://"), paths, shorter)


def _hash_key(key: np.ndarray | pa.ChunkedArray) -> np.ndarray:
    if isinstance(key, pa.ChunkedArray):
        return _hash_text(key)
    hashes: np.ndarray = key.astype(np.float64).view(np.uint64)
    return hashes


def _hash_text(column: pa.ChunkedArray, rows_at_once: int = 1 << 18) -> np.ndarray:
    blocks = [
        _hash_block(chunk.slice(start, rows_at_once))
        for chunk in column.chunks
        for start in range(0, len(chunk), rows_at_once)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.uint64)


def _hash_block(text: pa.LargeStringArray) -> np.ndarray:
    offsets, data = text_buffers(text)
    lengths = np.diff(offsets)
    longest = int(lengths.max())
    padded = np.concatenate([data, np.zeros(longest + 8, np.uint8)])
    eight_bytes = np.ndarray((len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))
    hashes = lengths.astype(np.uint64)
    for at in range(0, longest, 8):
        inside = np.clip(lengths - at, 0, 8)
        start = np.minimum(offsets[:-1] + at, len(eight_bytes) - 1)
        # bytes past the end of a text belong to its neighbour: masked away
        word = eight_bytes[start] & _MASKS[inside]
        hashes = np.where(inside > 0, mix(hashes + word + np.uint64(at)), hashes)
    return hashes


_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype=np.uint64)


def text_buffers(text: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets int64 [n + 1] from 0, and the UTF-8 bytes of all strings one after another."""
    _, offset_buffer, data_buffer = text.buffers()
    if not len(text):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    offsets = np.frombuffer(offset_buffer, np.int64, text.offset + len(text) + 1)[text.offset :]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer else np.zeros(0, np.uint8)
    return offsets - offsets[0], data[offsets[0] : offsets[-1]]
