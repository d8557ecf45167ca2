"""The bytes of what was packed, noted and compared: a flipped bit is found and its file named.

``checksums.csv`` lists path, bytes and sha256 of every pack, file or folder of frames. That of a
folder is of its files one after the other, in order; that of a pack, of all but its last blocks.
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from marey.data.manifest.faults import clip_text
from marey.errors import DecodeError, ManifestError
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.parts import Progress
from marey.jobs.processes import Lost
from marey.storage.atomic import write_csv
from marey.storage.text_files import read_csv
from marey.video.reading.jpeg import plain_jpeg_size
from marey.video.reading.pack import Pack, pack_of
from marey.video.reading.pack_index import TAIL, frame_name, tar_header

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
    """What of a pack is not as it was packed or as its index says, a line a fault."""
    try:
        pack = Pack(path)
    except DecodeError as error:
        return [error.message]
    total, start, end = sha256(), 0, pack.size - TAIL
    while start < end and (block := pack.pread(start, min(1 << 20, end - start))):
        total.update(block)
        start += len(block)
    if pack.pread(end, TAIL) != pack.tail.blocks():
        return [f"{path}: its last blocks are damaged"]
    faults = [fault for name in pack.names for fault in _frame_faults(pack, name)]
    if faults or total.hexdigest() == pack.tail.sha256:
        return faults
    return [f"{path}: bytes between the frames, or of the index, are damaged"]


def write_checksums(out: Path, clips: Iterable[Sum]) -> None:
    """Write the list for the clips below `out`; those of one pack stand together, and as one."""
    write_csv(out / NAME, COLUMNS, _by_file(out, clips))


def read_checksums(out: Path) -> list[Sum]:
    """The list in `out`; ManifestError if there is none, or if it names what lies elsewhere."""
    hint = "give the folder that `marey data pack` or `extract` wrote"
    if not (out / NAME).is_file():
        other = "; `marey data check MANIFEST` opens clips that have no checksums"
        raise ManifestError(f"{out} has no {NAME}", hint + other)
    rows = read_csv(out / NAME, COLUMNS, ManifestError, hint)
    if not rows:
        raise ManifestError(f"{out / NAME} lists nothing", hint)
    for path, size, _ in rows:
        if not _is_below(path):
            raise ManifestError(f"{out / NAME}: {path!r} is no path below its folder", hint)
        if not (size.isascii() and size.isdigit() and len(size) < 19):
            raise ManifestError(f"{out / NAME}: {clip_text(size)} is no number of bytes", hint)
    return [(path, int(size), digest) for path, size, digest in rows]


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


def _is_below(path: str) -> bool:
    words = path.split("/")
    return "\0" not in path and not any(word in ("", ".", "..") for word in words)


def _by_file(out: Path, clips: Iterable[Sum]) -> Iterator[Sequence[object]]:
    for pack, inside in groupby(clips, lambda one: pack_of(out / one[0])):
        if pack is None:
            yield from inside
        else:
            opened = Pack(pack)
            yield pack.relative_to(out).as_posix(), opened.size, opened.tail.sha256


def _differences(out: Path, one: Sum) -> list[str]:
    """What is wrong with one file or folder."""
    name, num_bytes, digest = one
    path = out / name
    try:
        if pack_of(path / "any"):
            faults = check_pack(path)
            other = not faults and Pack(path).tail.sha256 != digest
            return [f"{path}: a sound pack, but another one"] if other else faults
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        odd = next((file for file in files if not stat.S_ISREG(file.stat().st_mode)), None)
        if odd is not None:  # a named pipe would wait for ever
            return [f"{odd}: no plain file"]
        if digest_of(files) != (num_bytes, digest):
            return [f"{path}: other bytes than were written"]
    except (OSError, DecodeError) as error:
        return [f"{path}: {error.strerror if isinstance(error, OSError) else error.message}"]
    return []


def _frame_faults(pack: Pack, name: str) -> Iterator[str]:
    """The frames of a clip that are damaged, or other files of the tar than the index says."""
    clip = pack.frames(name)
    for index, crc in enumerate(clip.crcs):
        start, size = int(clip.offsets[index]), int(clip.sizes[index])
        header = tar_header(frame_name(name, index), size)
        data = pack.pread(start, size)
        if zlib.crc32(data) != crc:
            yield f"{pack.path}/{name}: frame {index} is damaged"
        elif pack.pread(max(start - len(header), 0), len(header)) != header:
            yield f"{pack.path}/{name}: frame {index} is another file of the tar"
        elif plain_jpeg_size(data) != (clip.width, clip.height):
            yield f"{pack.path}/{name}: frame {index} is not {clip.width} x {clip.height} pixels"
