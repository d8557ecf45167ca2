"""What clips hold when they are decoded, kept in journals so that no file is decoded twice.

Whoever is killed has lost what was in hand and nothing else (`marey.jobs.journal`). A file whose
size or time of change is another is probed again, and so is one that could not be read: permission
may have been given since.

Shards each probe every n-th file and write a journal of their own; all journals of a folder are
read. `marey data prepare` keeps them beside the manifest, for the next time; those of `marey data
check` go when its report is there.
"""

from __future__ import annotations

import zlib
from dataclasses import astuple, fields
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from marey.data.checks.probe import Probe, Probes, probe_clips, stamp_of
from marey.data.manifest.manifest import Manifest
from marey.jobs.executors import Executor
from marey.jobs.journal import appending, read_journals
from marey.jobs.parts import Progress
from marey.jobs.shards import WHOLE, Shard
from marey.storage.atomic import manifest_error

_HINT = "free space, or another --out; what was probed so far is kept"
_EARLIER = 8
"""Fields of a probe that a journal of an earlier version has."""

Key: TypeAlias = tuple[str, float | None, float | None]
"""Path, start and end."""


def probe_once(
    manifest: Manifest,
    folder: Path,
    *,
    thorough: bool,
    executor: Executor,
    shard: Shard = WHOLE,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Probes:
    """The probes of all clips, from the journals in `folder` or made now and written there.

    Clips of other shards that have not been probed are not `seen`. ManifestError if the journal
    cannot be written; what was probed till then is kept.

    Args:
        folder: of journals of probes that were made with the same `thorough`.
        thorough: as `probe_clips`.
        progress: called with clips of the shard (done, total), those in the journals among them.
    """
    probes = known_probes(manifest, folder)
    mine = _rows_of_shard(manifest, shard)
    todo = mine[~probes.seen[mine] | probes.failed[mine]]
    known, failure = len(mine) - len(todo), partial(manifest_error, hint=_HINT)
    name = ".probes.jsonl" if shard.is_whole else f".probes-{shard.index}-of-{shard.count}.jsonl"
    if len(todo):
        with appending(folder / name, failure) as append:
            for row, probe in probe_clips(
                manifest,
                todo,
                thorough=thorough,
                executor=executor,
                timeout_seconds=timeout_seconds,
                progress=progress and (lambda done, _: progress(known + done, len(mine))),
            ):
                probes[row] = probe
                append([*_key(manifest, row, str(manifest.paths[row])), *astuple(probe)])
    if not shard.is_whole:  # what others did meanwhile
        _fill(probes, np.setdiff1d(np.arange(len(manifest)), mine), manifest, folder)
    return probes


def known_probes(manifest: Manifest, folder: Path) -> Probes:
    """What the journals in `folder` say of the clips whose files are the same as then."""
    probes = Probes(len(manifest))
    _fill(probes, np.arange(len(manifest)), manifest, folder)
    return probes


def _fill(probes: Probes, rows: np.ndarray, manifest: Manifest, folder: Path) -> None:
    """Take over the probes of `rows` (int64) from the journals."""
    entries = _entries(folder)
    if not entries:
        return
    for row, path in zip(rows.tolist(), manifest.texts(rows), strict=True):
        probe = entries.get(_key(manifest, row, path))
        if probe is None:
            continue
        if probe.error or (probe.size, probe.changed) == stamp_of(manifest.roots.of(row) / path):
            probes[row] = probe


def _entries(folder: Path) -> dict[Key, Probe]:
    """The last good probe of each clip in the journals of a folder, else the last error."""
    names = [field.name for field in fields(Probe)]
    entries: dict[Key, Probe] = {}
    for entry in read_journals(sorted(folder.glob(".probes*.jsonl"))):
        try:
            key, values = tuple(entry[:3]), entry[3:]
            known = names[: max(len(values), _EARLIER)]
            probe = Probe(**dict(zip(known, values, strict=True)))
            if not probe.error or key not in entries or entries[key].error:
                entries[key] = probe
        except (ValueError, TypeError):  # a line of something else
            continue
    return entries


def _key(manifest: Manifest, row: int, path: str) -> Key:
    span = manifest.span(row)
    return (path, None, None) if span is None else (path, span.start, span.end)


def _rows_of_shard(manifest: Manifest, shard: Shard) -> np.ndarray:
    """The rows int64 whose file is of this shard, and so all clips of a file."""
    if shard.is_whole:
        return np.arange(len(manifest))
    files = (zlib.crc32(path.encode()) % shard.count for path in manifest.texts())
    return np.flatnonzero(np.fromiter(files, np.int64, len(manifest)) == shard.index)
