"""The bytes of what was packed, noted and compared: a flipped bit is found and its file named.

``checksums.csv`` lists path, bytes and sha256 of every pack, file or folder of frames. That of a
folder is of its files one after the other, in order; that of a pack, of all but its last blocks.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from marey.errors import DecodeError, ManifestError
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.parts import Progress
from marey.jobs.processes import Lost
from marey.storage.atomic import write_csv
from marey.video.reading.pack import TAIL, ClipFrames, Pack, pack_of, pack_tail

NAME = "checksums.csv"
COLUMNS = ("path", "bytes", "sha256")

Sum: TypeAlias = tuple[str, int, str]
"""Path from the folder of the list, bytes, sha256."""


def digest_of(files: Iterable[Path]) -> tuple[int, str]:
    """Bytes in all, and their sha256, one file after the other."""
    total, num_bytes = sha256(), 0
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
                num_bytes += len(block)
    return num_bytes, total.hexdigest()


def check_pack(path: Path) -> list[str]:
    """What differs from what was packed, a line a damaged frame; empty if no bit does."""
    try:
        pack = Pack(path)
    except DecodeError as error:
        return [error.message]
    total, start, end = sha256(), 0, pack.size - TAIL
    while start < end and (block := pack.pread(start, min(1 << 20, end - start))):
        total.update(block)
        start += len(block)
    if pack.pread(end, TAIL) != pack_tail(pack.index, pack.sha256):
        return [f"{path}: its last blocks are damaged"]
    if total.hexdigest() == pack.sha256:
        return []
    return [
        f"{path}/{name}: frame {index} is damaged"
        for name in pack.names
        for index in _damaged(pack, pack.frames(name))
    ] or [f"{path}: bytes between the frames, or of the index, are damaged"]


def write_checksums(out: Path, clips: Iterable[Sum]) -> None:
    """Write the list for the clips below `out`; those of one pack stand together, and as one."""
    write_csv(out / NAME, COLUMNS, _by_file(out, clips))


def read_checksums(out: Path) -> list[Sum]:
    """The list in `out`; ManifestError if there is none."""
    try:
        with (out / NAME).open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            return [(path, int(size), digest) for path, size, digest in rows]
    except (OSError, ValueError, StopIteration) as error:
        raise ManifestError(
            f"{out / NAME}: no list of checksums ({error})",
            "give the folder that `marey data pack` or `extract` wrote",
        ) from error


def verify(
    out: Path,
    *,
    executor: Executor = PROCESSES,
    progress: Progress | None = None,
) -> list[str]:
    """What below `out` is no longer as it was written, a line each; empty if no bit differs."""
    sums, faults = read_checksums(out), dict[Sum, list[str]]()
    check = partial(_differences, out.absolute())
    for one, answer in executor.answers(check, sums, timeout_seconds=3600.0):
        faults[one] = [f"{one[0]}: {answer.reason}"] if isinstance(answer, Lost) else answer
        if progress is not None:
            progress(len(faults), len(sums))
    return [fault for one in sums for fault in faults[one]]


def _by_file(out: Path, clips: Iterable[Sum]) -> Iterator[Sequence[object]]:
    for pack, inside in groupby(clips, lambda one: pack_of(out / one[0])):
        if pack is None:
            yield from inside
        else:
            opened = Pack(pack)
            yield pack.relative_to(out).as_posix(), opened.size, opened.sha256


def _differences(out: Path, one: Sum) -> list[str]:
    """What is wrong with one file or folder."""
    name, num_bytes, digest = one
    path = out / name
    try:
        if pack_of(path / "any"):
            faults = check_pack(path)
            other = not faults and Pack(path).sha256 != digest
            return [f"{path}: a sound pack, but another one"] if other else faults
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        if digest_of(files) != (num_bytes, digest):
            return [f"{path}: other bytes than were written"]
    except (OSError, DecodeError) as error:
        return [f"{path}: {error.strerror if isinstance(error, OSError) else error.message}"]
    return []


def _damaged(pack: Pack, frames: ClipFrames) -> Iterator[int]:
    for index, (offset, size) in enumerate(zip(frames.offsets, frames.sizes, strict=True)):
        if zlib.crc32(pack.pread(int(offset), int(size))) != frames.crcs[index]:
            yield index
