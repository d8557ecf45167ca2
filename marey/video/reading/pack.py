"""A pack: the frames of many clips as JPEG in one file, any frame of which is one read away.

It is a tar file, uncompressed, that ends in its own index::

    wave/a.mp4/000001.jpg      a file a frame: `tar -x` makes folders of frames of it
    wave/a.mp4/000002.jpg
    ...
    .index.arrow               a row a clip: where its frames lie, and when they are shown
    .pack.json                 where the index lies, and sha256 of all before this file

A clip is addressed by the path that leads into the pack, ``packs/00003.tar/wave/a.mp4``. Names are
looked up in the index and never on the disk, so none leads out of the file.

A process opens a pack once, maps its index into memory and keeps the file open; frames come by
`pread`, which moves no file position, so processes forked later share it all without harm.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from marey.errors import DecodeError
from marey.pulse import beat
from marey.storage.arrow_files import map_file
from marey.storage.faults import read_error
from marey.storage.url import WHOLE, AnyPath, Url
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.jpeg import decode_jpeg, plain_jpeg_size
from marey.video.reading.pack_index import AGAIN, TAIL, about_index, read_index, read_tail
from marey.video.reading.pixels import Picture, ShortSide, scaled

SUFFIX = ".tar"
OPEN_PACKS = 256
"""Packs that a process holds open; most systems allow 1024 files."""


@dataclass(frozen=True, kw_only=True)
class ClipFrames:
    """Where the frames of a clip lie in their pack, each [t]."""

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int32]
    crcs: NDArray[np.uint32]
    seconds: NDArray[np.float64]
    fps: float | None
    width: int
    height: int


class Pack:
    """An open pack: the index, mapped, and the file."""

    def __init__(self, path: AnyPath) -> None:
        self.path = path
        try:
            self._file = path.open("rb", buffering=0) if isinstance(path, Path) else path
            self.size = _size_of(self._file)
            self.tail = read_tail(self.pread(max(self.size - TAIL, 0), TAIL), self.size, path)
            content = self._mapped(self.tail.start, self.tail.size)
        except OSError as error:
            raise read_error(path, error, AGAIN) from error
        self._index = read_index(content, self.tail, path)
        self.about = about_index(self._index)
        self._rows = {name: row for row, name in enumerate(self._index["name"].to_pylist())}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def names(self) -> list[str]:
        """The clips, in the order they were packed."""
        return list(self._rows)

    def frames(self, name: str) -> ClipFrames:
        """Where the frames of a clip lie; DecodeError if there is none of that name."""
        row = self._rows.get(name)
        if row is None:
            raise DecodeError(
                f"{self.path}: no clip {name!r} among its {len(self)}",
                "is the manifest the one that was written with the pack?",
            )
        return ClipFrames(
            offsets=self._values("offset", row),
            sizes=self._values("size", row),
            crcs=self._values("crc32", row),
            seconds=self._values("seconds", row),
            fps=self._index["fps"][row].as_py(),
            width=self._index["width"][row].as_py(),
            height=self._index["height"][row].as_py(),
        )

    def pread(self, offset: int, size: int) -> bytes:
        """Bytes of the file, as many as there are."""
        if isinstance(self._file, Url):
            return self._file.read_range(offset, size)
        return os.pread(self._file.fileno(), size, offset)

    def _mapped(self, start: int, size: int) -> pa.Buffer:
        if isinstance(self.path, Url):
            return pa.py_buffer(self.pread(start, size))
        return map_file(self.path).slice(start, size)

    def _values(self, column: str, row: int) -> NDArray[Any]:
        values: NDArray[Any] = self._index[column][row].values.to_numpy()
        return values


class PackedClip(FrameReader):
    """A `FrameReader` over one clip of a pack."""

    def __init__(self, path: AnyPath, *, num_frames: int | None = None) -> None:
        self.path = path
        whole = pack_of(path)
        if whole is None:
            raise ValueError(f"{path} does not lead into a pack, NAME{SUFFIX}/CLIP")
        self._pack: Pack | None = open_pack(whole)
        inside = path.relative_to(whole)  # type: ignore[arg-type]  # both are here or both in a store
        self._frames = self._pack.frames(inside.as_posix())
        self.fps = self._frames.fps
        self._num_frames = len(self._frames.sizes) if num_frames is None else num_frames
        self._ahead = (0, b"")
        self.about = self._pack.about

    @property
    def holds_flow(self) -> bool:
        """Whether its pictures are optical flow, x above y (`marey.video.reading.flow`)."""
        return self.about.get("modality") == "flow"

    def __len__(self) -> int:
        return self._num_frames

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Pictures [h w 3], one at a time, in the order asked; see `FrameReader`."""
        wanted = self.checked(indices)
        self._read_ahead(wanted)
        size = self._frames.width, self._frames.height
        for index in wanted.tolist():
            data, name = self.data(index), f"{self.path}: frame {index}"
            if plain_jpeg_size(data) != size:  # asked before memory is taken for it
                raise DecodeError(f"{name}: no colour JPEG of {size[0]} x {size[1]} pixels", AGAIN)
            picture = decode_jpeg(data, name)
            beat()
            yield scaled(picture, scale(size)) if scale else picture

    def data(self, index: int) -> bytes:
        """The JPEG file of a frame as it was packed; DecodeError if it is damaged."""
        if self._pack is None:
            raise ValueError(f"{self.path}: the reader is closed")
        if index >= len(self._frames.sizes):
            raise DecodeError(
                f"{self.path}: frame {index} of {len(self)} cannot be read, the pack holds"
                f" {len(self._frames.sizes)}",
                "correct num_frames; the manifest written with the pack has it",
            )
        start, size = int(self._frames.offsets[index]), int(self._frames.sizes[index])
        before, ahead = self._ahead
        data = ahead[start - before : start - before + size] if start >= before else b""
        if len(data) < size:
            data = self._bytes(start, size)
        if zlib.crc32(data) != self._frames.crcs[index]:
            raise DecodeError(f"{self.path}: frame {index} is damaged", AGAIN)
        return data

    def _read_ahead(self, indices: NDArray[np.int64]) -> None:
        """All of these frames at once from a store, where a request costs more than bytes do."""
        there = indices[indices < len(self._frames.sizes)]
        if not isinstance(self.path, Url) or not len(there):
            return
        start = int(self._frames.offsets[there].min())
        size = int((self._frames.offsets[there] + self._frames.sizes[there]).max()) - start
        if size <= WHOLE:
            self._ahead = start, self._bytes(start, size)

    def _bytes(self, start: int, size: int) -> bytes:
        assert self._pack is not None
        try:
            return self._pack.pread(start, size)
        except OSError as error:
            raise read_error(self.path, error, AGAIN) from error

    def timestamps(self) -> NDArray[np.float64]:
        """When each frame is shown, in seconds from the first: [len]."""
        if not len(self._frames.seconds):
            raise DecodeError(
                f"{self.path}: packed from a folder of frames, which has no times of its own",
                "give spans in frames, or pack from a manifest with a column fps",
            )
        return self._frames.seconds[: len(self)].copy()

    def close(self) -> None:
        """Refuse to read from now on; the process keeps the pack open for the next clip."""
        self._pack = None


@overload
def pack_of(path: Path) -> Path | None: ...
@overload
def pack_of(path: Url) -> Url | None: ...
def pack_of(path: AnyPath) -> AnyPath | None:
    """The pack that `path` leads into, if it does; in a store what is named like one is one."""
    if SUFFIX + "/" not in path.as_posix():
        return None
    named: Iterator[AnyPath] = (p for p in path.parents if p.suffix == SUFFIX)
    return next((p for p in named if isinstance(p, Url) or p.is_file()), None)


def names_in_pack(path: AnyPath) -> list[str] | None:
    """The names that stand in a pack, or in a folder of it; None if `path` leads into none."""
    whole = pack_of(path / "any")
    if whole is None:
        return None
    above = path.relative_to(whole).parts  # type: ignore[arg-type]  # as above
    inside = [name.split("/") for name in open_pack(whole).names]
    depth = len(above)
    return sorted({n[depth] for n in inside if len(n) > depth and tuple(n[:depth]) == above})


def open_pack(path: AnyPath) -> Pack:
    """The open pack at `path`, the same one for all who ask while the file stays as it is.

    One in a store is taken to stay as it is.
    """
    if isinstance(path, Url):
        return _open(path)
    try:
        status = path.stat()
    except OSError as error:
        raise read_error(path, error) from error
    return _open(path, status.st_ino, status.st_mtime_ns, status.st_size)


def _size_of(file: BinaryIO | Url) -> int:
    if isinstance(file, Url):
        if file.size is None:
            raise OSError(errno.EINVAL, "the store does not say how long it is")
        return file.size
    return os.fstat(file.fileno()).st_size


@lru_cache(maxsize=OPEN_PACKS)
def _open(path: AnyPath, *identity: int) -> Pack:  # noqa: ARG001  # a file replaced is another pack
    return Pack(path)
