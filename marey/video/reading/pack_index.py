"""What a pack says of itself: its index and its last blocks, written, and read without trust.

A checksum tells damage, not malice: who writes another index writes its checksum too. So an index
is held to all that a reader relies on, once, when the pack is opened. Frames lie one after the
other before the index, with their tar headers between; so whatever it claims, a clip has no more
bytes than the file.
"""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from marey.errors import DecodeError
from marey.storage.url import AnyPath

BLOCK = 512
"""Tar lays everything at multiples of it."""
FORMAT = "marey pack 1"
TAIL = 4 * BLOCK
"""Bytes from the header of .pack.json to the end: header, JSON, two empty blocks."""
AGAIN = "pack it again, or get a new copy"
LONGEST_SIDE = 65_500
"""Pixels; libjpeg reads no longer one."""

SCHEMA = pa.schema(
    [
        ("name", pa.large_string()),
        ("fps", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("offset", pa.large_list(pa.int64())),
        ("size", pa.large_list(pa.int32())),
        ("crc32", pa.large_list(pa.uint32())),
        ("seconds", pa.large_list(pa.float64())),
    ]
)
"""The index. `offset`, `size`, `crc32`: of every frame's JPEG in the file; `seconds`: when it is
shown, from 0, or nothing where nobody knows; `fps`: null likewise."""


@dataclass(frozen=True)
class PackTail:
    """What the last blocks say: where the index lies, and sha256 of all before them."""

    start: int
    size: int
    crc32: int
    sha256: str

    def blocks(self) -> bytes:
        """The last `TAIL` bytes of the pack."""
        facts = {
            "format": FORMAT,
            "index": [self.start, self.size, self.crc32],
            "sha256": self.sha256,
        }
        text = json.dumps(facts | {"check": _check(facts)}).encode()
        return (tar_header(".pack.json", len(text)) + text).ljust(TAIL, b"\0")


def tar_header(name: str, size: int) -> bytes:
    """The block, or blocks, before a file in a tar; nothing in it is of this day or machine."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)


def frame_name(clip: str, index: int) -> str:
    """The file in the tar that is frame `index` of a clip."""
    return f"{clip}/{index + 1:06d}.jpg"


def read_tail(tail: bytes, size: int, path: AnyPath) -> PackTail:
    """What the `tail` of a pack of `size` bytes says; DecodeError if it is none."""
    try:
        facts: dict[str, Any] = json.loads(tail[BLOCK : 2 * BLOCK].rstrip(b"\0"))
        known = facts.get("format") == FORMAT
    except (ValueError, AttributeError, RecursionError):
        known = False
    if not known:
        raise DecodeError(
            f"{path}: a tar file, but no pack of {FORMAT}, or cut short",
            "`marey data pack` makes packs",
        )
    if facts.pop("check", None) != _check(facts):
        raise DecodeError(f"{path}: its last block is damaged", AGAIN)
    index, digest = facts.get("index"), facts.get("sha256")
    place = index if isinstance(index, list) and all(type(n) is int for n in index) else []
    if len(place) != 3 or not re.fullmatch("[0-9a-f]{64}", str(digest)):
        raise DecodeError(f"{path}: its last block says nothing of an index", AGAIN)
    start, length, crc = place
    if not 0 <= start <= start + length <= size - TAIL:
        raise DecodeError(f"{path}: its index lies outside of it", AGAIN)
    return PackTail(start, length, crc, str(digest))


def read_index(content: pa.Buffer, tail: PackTail, path: AnyPath) -> pa.Table:
    """The index in `content`, a row a clip, each column in one piece and as a reader relies on.

    Raises:
        DecodeError: other bytes than were written, no table of `SCHEMA`, or one that lies.
    """
    if zlib.crc32(content) != tail.crc32:  # Arrow believes every offset it reads
        raise DecodeError(f"{path}: its index is damaged (other bytes than were written)", AGAIN)
    try:
        index = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        index.validate(full=True)
        index = index.combine_chunks()
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise DecodeError(f"{path}: its index is damaged ({error})", AGAIN) from error
    lie = _lie(index, tail.start)
    if lie:
        raise DecodeError(f"{path}: its index is wrong: {lie}", AGAIN)
    return index


def about_index(index: pa.Table) -> dict[str, Any]:
    """What the pack says of its pictures: nothing of those of videos."""
    try:
        about = json.loads((index.schema.metadata or {}).get(b"about", b"{}"))
    except (ValueError, RecursionError):
        about = {}
    return about if isinstance(about, dict) else {}


def _lie(index: pa.Table, end: int) -> str:
    """What no pack whose frames end at `end` can say; empty if there is nothing."""
    if not index.schema.equals(SCHEMA):
        return "its columns are not those of a pack"
    return _lie_of_clips(index) or _lie_of_frames(index, end)


def _lie_of_clips(index: pa.Table) -> str:
    gaps = [column.null_count for column in index.columns]
    gaps[SCHEMA.get_field_index("fps")] = 0  # may be unknown
    if any(gaps):
        return "a cell is empty"
    names = index["name"].to_pylist()
    if len(set(names)) < len(names):
        return "two clips have one name"
    for name in names:
        # unpacked by others, a name must not lead out of the folder
        if any(word in ("", ".", "..") for word in name.split("/")) or re.search("[\0\r\n]", name):
            return f"{name[:80]!r} is no name of a clip"
    for side in ("width", "height"):
        if not _within(index[side].to_numpy(), 1, LONGEST_SIDE):
            return f"a {side} is not 1 to {LONGEST_SIDE} pixels"
    rates = pc.drop_null(index["fps"]).to_numpy()
    return "" if (np.isfinite(rates) & (rates > 0)).all() else "an fps is no rate"


def _lie_of_frames(index: pa.Table, end: int) -> str:
    counts = {name: _lengths(index, name) for name in ("offset", "size", "crc32", "seconds")}
    frames, times = counts["offset"], counts["seconds"]
    if not (frames > 0).all() or not all((counts[n] == frames).all() for n in ("size", "crc32")):
        return "a clip has no frames, or not as many offsets, sizes and checksums"
    if not ((times == frames) | (times == 0)).all():
        return "a clip has not as many times as frames"
    flat = {name: pc.list_flatten(index[name]) for name in counts}
    if any(values.null_count for values in flat.values()):
        return "a frame has an empty cell"
    starts, sizes = flat["offset"].to_numpy(), flat["size"].to_numpy().astype(np.int64)
    # in this order no sum can overflow
    if not _within(starts, BLOCK, end) or not (sizes > 0).all() or (starts + sizes > end).any():
        return "a frame lies outside of the pack"
    if (starts[1:] < (starts + sizes)[:-1] + BLOCK).any():
        return "frames lie in one another, or in another order"
    seconds, first = flat["seconds"].to_numpy(), np.cumsum(times) - times
    rises = np.diff(seconds, prepend=0.0) >= 0
    rises[first[times > 0]] = True  # every clip begins anew
    if not (np.isfinite(seconds) & (seconds >= 0) & rises).all():
        return "a time is no second, or before the one before it"
    return ""


def _within(numbers: NDArray[Any], low: int, high: int) -> bool:
    return bool(((numbers >= low) & (numbers <= high)).all())


def _lengths(index: pa.Table, name: str) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = pc.list_value_length(index[name]).to_numpy()
    return lengths


def _check(facts: dict[str, Any]) -> str:
    """A digest of the other facts of the last block, by which damage to it is told."""
    return sha256(json.dumps(facts).encode()).hexdigest()[:16]
