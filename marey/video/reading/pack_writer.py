"""Packs, written clip by clip as `pack.py` reads them, the same bytes every time."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from numpy.typing import NDArray

from marey.video.reading.pack_index import BLOCK, SCHEMA, PackTail, frame_name, tar_header
from marey.video.reading.pixels import Size


class PackWriter:
    """A pack in the making; see `pack_writer`."""

    def __init__(self, file: BinaryIO, about: Mapping[str, Any] | None = None) -> None:
        self.about = dict(about or {})
        """What the pack is to say of its pictures, where they are not those of videos."""
        self._file, self._digest, self._offset = file, sha256(), 0
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        jpegs: Iterable[bytes],
        *,
        size: Size,
        fps: float | None,
        seconds: NDArray[Any],
    ) -> int:
        """Write the frames of one clip as they come; their bytes. A clip that fails leaves none."""
        if any(row["name"] == name for row in self._rows):
            raise ValueError(f"two clips are called {name!r}")
        start, digest = self._offset, self._digest.copy()
        row: dict[str, Any] = {"offset": [], "size": [], "crc32": []}
        try:
            for index, data in enumerate(jpegs):
                row["offset"].append(self._member(frame_name(name, index), data))
                row["size"].append(len(data))
                row["crc32"].append(zlib.crc32(data))
        except BaseException:
            self._file.seek(start)
            self._file.truncate()
            self._offset, self._digest = start, digest
            raise
        facts = {"name": name, "fps": fps, "width": size[0], "height": size[1]}
        self._rows.append(facts | row | {"seconds": seconds.tolist()})
        return sum(row["size"])

    def finish(self) -> None:
        """Write the index and the end."""
        sink = pa.BufferOutputStream()
        about = {"about": json.dumps(self.about, sort_keys=True)} if self.about else None
        schema = SCHEMA.with_metadata(about)
        table = pa.Table.from_pylist(self._rows, schema=schema)
        with pa.ipc.new_file(sink, schema) as index:
            index.write_table(table.combine_chunks())
        content = sink.getvalue().to_pybytes()
        start = self._member(".index.arrow", content)
        tail = PackTail(start, len(content), zlib.crc32(content), self._digest.hexdigest())
        self._file.write(tail.blocks())

    def _member(self, name: str, data: bytes) -> int:
        """Where `data` begins in the file, now that it is written."""
        header = tar_header(name, len(data))
        start = self._offset + len(header)
        whole = header + data + bytes(-len(data) % BLOCK)
        self._file.write(whole)
        self._digest.update(whole)
        self._offset += len(whole)
        return start


@contextmanager
def pack_writer(path: Path, about: Mapping[str, Any] | None = None) -> Iterator[PackWriter]:
    """What writes the file `path`, a pack once the block ends well.

    about: what is said of its pictures, where they are not those of videos.
    """
    with path.open("wb") as file:
        writer = PackWriter(file, about)
        yield writer
        writer.finish()
