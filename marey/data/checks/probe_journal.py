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
    known = len(mine) - len(todo)
    failure = partial(manifest_error, hint=_HINT)
    if len(todo):
        with appending(_journal_file(folder, shard), failure) as append:
            for row, probe in probe_clips(
                manifest,
                todo,
                thorough=thorough,
                executor=executor,
                timeout_seconds=timeout_seconds,
                progress=progress and (lambda done, _: progress(known + done, len(mine))),
            ):
                probes[row] = probe
                append(_entry(_key(manifest, row), probe))
    return probes if shard.is_whole else known_probes(manifest, folder, probes, mine)


def known_probes(
    manifest: Manifest,
    folder: Path,
    probes: Probes | None = None,
    rows: np.ndarray | None = None,
) -> Probes:
    """What the journals in `folder` say of the clips whose files are the same as then.

    `rows` (int64) stay as they are in `probes`, which is filled in.
    """
    probes = probes or Probes(len(manifest))
    entries = _entries(folder)
    if not entries:
        return probes
    kept = np.zeros(len(manifest), bool)
    kept[[] if rows is None else rows] = True
    for row, path in enumerate(manifest.texts()):
        probe = None if kept[row] else entries.get(_key(manifest, row, path))
        if probe and (probe.error or probe.stamp == stamp_of(manifest.roots.of(row) / path)):
            probes[row] = probe
    return probes


def _journal_file(folder: Path, shard: Shard) -> Path:
    """Where a shard keeps its probes."""
    suffix = "" if shard.is_whole else f"-{shard.index}-of-{shard.count}"
    return folder / f".probes{suffix}.jsonl"


def _entries(folder: Path) -> dict[Key, Probe]:
    """The last good probe of each clip in the journals of a folder, else the last error."""
    entries: dict[Key, Probe] = {}
    for entry in read_journals(sorted(folder.glob(".probes*.jsonl"))):
        try:
            path, start, end, size, changed, *values = entry
            frames, file_frames, width, height, fps, error = values
            key, before = (path, start, end), entries.get((path, start, end))
        except (ValueError, TypeError):  # a line of something else
            continue
        if not error or before is None or before.error:
            entries[key] = Probe(
                frames=frames,
                file_frames=file_frames,
                width=width,
                height=height,
                fps=fps,
                error=error,
                stamp=(size, changed),
            )
    return entries


def _entry(key: Key, probe: Probe) -> list[object]:
    numbers = (probe.frames, probe.file_frames, probe.width, probe.height, probe.fps)
    return [*key, *probe.stamp, *numbers, probe.error]


def _key(manifest: Manifest, row: int, path: str | None = None) -> Key:
    span = manifest.span(row)
    text = str(manifest.paths[row]) if path is None else path
    return (text, None, None) if span is None else (text, span.start, span.end)


def _rows_of_shard(manifest: Manifest, shard: Shard) -> np.ndarray:
    """The rows int64 whose file is of this shard, and so all clips of a file."""
    if shard.is_whole:
        return np.arange(len(manifest))
    files = (zlib.crc32(path.encode()) % shard.count for path in manifest.texts())
    return np.flatnonzero(np.fromiter(files, np.int64, len(manifest)) == shard.index)
