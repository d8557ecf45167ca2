"""What clips hold when they are decoded, kept in a journal so that no file is decoded twice.

The journal is a line of JSON a clip, written as soon as the clip was read: whoever is killed has
lost what was in hand and nothing else. A line that was cut short is no JSON and counts for nothing.
A file whose size or time of change is another is probed again, and so is one that could not be
read: permission may have been given since.

Shards (`--shard i/n`) each probe every n-th file and write a journal of their own; all journals of
a folder are read.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TypeAlias

import numpy as np

from marey.data.checks.probe import Probe, probe_clips
from marey.data.manifest.manifest import Manifest
from marey.jobs.executors import Executor
from marey.jobs.parts import WHOLE, Progress, Shard
from marey.storage.atomic import manifest_error, writing

Stamp: TypeAlias = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""
Key: TypeAlias = tuple[str, float | None, float | None]
"""Path, start and end."""


def journal_file(folder: Path, shard: Shard) -> Path:
    """Where a shard keeps its probes."""
    suffix = f"-{shard.index}-of-{shard.count}" if shard.count > 1 else ""
    return folder / f".probes{suffix}.jsonl"


def probe_once(
    manifest: Manifest,
    folder: Path,
    *,
    executor: Executor,
    shard: Shard = WHOLE,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> list[Probe | None]:
    """The probe of every clip, from the journals in `folder` or made now and written there.

    None for clips of other shards that have not been probed. ManifestError if the journal cannot be
    written; what was probed till then is kept.
    """
    keys, stamps = list(_keys(manifest)), _stamps(manifest)
    probes = _known(folder, keys, stamps)
    todo = np.flatnonzero(
        [
            _is_of_shard(key[0], shard) and (probe is None or bool(probe.error))
            for key, probe in zip(keys, probes, strict=True)
        ]
    )
    if len(todo):
        with _appending(journal_file(folder, shard)) as journal:
            for row, probe in probe_clips(
                manifest,
                todo,
                thorough=False,
                executor=executor,
                timeout_seconds=timeout_seconds,
                progress=progress,
            ):
                journal(json.dumps([*keys[row], *stamps[keys[row][0]], *astuple(probe)]))
        probes = _known(folder, keys, stamps)  # what other shards did meanwhile, too
    return probes


def _known(folder: Path, keys: Sequence[Key], stamps: Mapping[str, Stamp]) -> list[Probe | None]:
    """What all journals in the folder say of the clips."""
    known = _read(sorted(folder.glob(".probes*.jsonl")))
    return [known.get((key, stamps[key[0]])) for key in keys]


def _keys(manifest: Manifest) -> Iterator[Key]:
    nothing = np.full(len(manifest), np.nan)
    starts = nothing if manifest.starts is None else manifest.starts
    ends = nothing if manifest.ends is None else manifest.ends
    for path, start, end in zip(manifest.texts(), starts.tolist(), ends.tolist(), strict=True):
        yield path, None if start != start else start, None if end != end else end


def _is_of_shard(path: str, shard: Shard) -> bool:
    """Whether a file is of this shard, and so all clips of it."""
    return shard.count == 1 or zlib.crc32(path.encode()) % shard.count == shard.index


def _stamps(manifest: Manifest) -> dict[str, Stamp]:
    """Stamp of every file, (-1, 0) of one that has gone since it was listed."""
    return {path: _stamp(f"{manifest.root}/{path}") for path in set(manifest.texts())}


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116  # a Path an item would double the time
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


def _read(journals: Sequence[Path]) -> dict[tuple[Key, Stamp], Probe]:
    known: dict[tuple[Key, Stamp], Probe] = {}
    for path in journals:
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                name, start, end, size, changed, *numbers = json.loads(line)
                key, probe = ((name, start, end), (size, changed)), Probe(*numbers)
                if not probe.error or key not in known or known[key].error:
                    known[key] = probe
            except (ValueError, TypeError):  # cut short, when a process or the disk ended
                continue
    return known


@contextmanager
def _appending(path: Path) -> Iterator[Callable[[str], None]]:
    """A function that adds a line to the journal, at once and whole or else recognisably cut."""
    with writing(path, _journal_error):
        file = path.open("ab", buffering=0)
    with file:
        _write(path, file, "")  # ends a line that was cut short
        yield lambda line: _write(path, file, line)


def _write(path: Path, file: FileIO, line: str) -> None:
    with writing(path, _journal_error):
        _write_all(file, f"{line}\n".encode())


def _write_all(file: FileIO, data: bytes) -> None:
    while data:  # a disk that is nearly full takes a part, then none
        data = data[file.write(data) :]


_journal_error = partial(
    manifest_error, hint="free space, or another --out; what was probed so far is kept"
)
