"""Every clip of a manifest opened and decoded, and what is wrong with each, before training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from marey.data.checks.probe import Probes, probe_clips
from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError
from marey.jobs.executors import Executor, Processes
from marey.jobs.parts import WHOLE, Parts, Progress, Shard, begin_parts, finish_parts, input_digest
from marey.storage.atomic import replacing, write_csv
from marey.storage.lock import locked
from marey.storage.url import AnyPath
from marey.video.reading.reader import Span

Status = Literal["ok", "unreadable", "count-differs", "too-short", "unchecked"]
"""`count-differs`: other frames decode than `num_frames` says; `unchecked`: not reached yet."""
STATUSES: tuple[Status, ...] = get_args(Status)

COLUMNS = (
    *("path", "start", "end", "status", "frames", "file_frames", "num_frames"),
    *("width", "height", "fps", "reason"),
)
PART_ROWS = 256
PARTS_AT_ONCE = 256
"""Within these a file that holds many clips is decoded once."""


@dataclass(frozen=True)
class CheckReport:
    """What was found, a row a clip of the manifest."""

    manifest: Manifest
    path: Path
    """Where the report is written: check.csv, the columns `COLUMNS`."""
    probes: Probes
    min_frames: int
    complete: bool = True
    """Whether `path` is written; else other shards have clips to check yet."""

    @property
    def statuses(self) -> np.ndarray:
        """The verdict on every clip, the gravest that holds: positions int64 [n] in `STATUSES`."""
        probes, promised = self.probes, self.manifest.frame_counts
        differs = promised is not None and (promised >= 0) & (promised != probes.file_frames)
        short = probes.frames < self.min_frames
        rules: list[np.ndarray] = [~probes.seen, probes.failed, differs & probes.seen, short]
        return np.select(rules, [4, 1, 2, 3], 0)

    @property
    def counts(self) -> dict[Status, int]:
        """Clips of every status, also of those that have none."""
        counts = np.bincount(self.statuses, minlength=len(STATUSES))
        return dict(zip(STATUSES, counts.tolist(), strict=True))

    @property
    def bad_rows(self) -> np.ndarray:
        """The clips something is wrong with, int64."""
        return np.flatnonzero((self.statuses > 0) & self.probes.seen)

    def reason(self, row: int) -> str:
        """What is wrong with one clip, empty if nothing is."""
        frames, file_frames = self.probes.frames[row], self.probes.file_frames[row]
        promised = self.manifest.num_frames(row)
        if not self.probes.seen[row] or row in self.probes.errors:
            return self.probes.errors.get(row, "")
        if promised not in (None, file_frames):
            return f"{file_frames} frames decode, the manifest says {promised}"
        return f"{frames} frames, fewer than {self.min_frames}" if frames < self.min_frames else ""

    def save(self) -> None:
        """Write the report; ManifestError where that is not possible."""
        write_csv(self.path, COLUMNS, self._records())

    def _records(self) -> Iterator[list[object]]:
        """One line a clip; what is not known is an empty cell."""
        statuses, probes = self.statuses, self.probes
        for row, path in enumerate(self.manifest.texts()):
            span = self.manifest.span(row) or Span()
            frames = (probes.frames[row], probes.file_frames[row], self.manifest.num_frames(row))
            shape = (probes.width[row], probes.height[row], round(float(probes.fps[row]), 3))
            numbers = [value or None for value in (*frames, *shape)]
            status = STATUSES[statuses[row]]
            yield [path, span.start, span.end, status, *numbers, self.reason(row)]


def check_manifest(
    manifest: Manifest,
    report: Path | None = None,
    *,
    min_frames: int = 2,
    num_workers: int | None = None,
    executor: Executor | None = None,
    shard: Shard = WHOLE,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> CheckReport:
    """The verdict on every clip, wholly decoded; also written to `report` once all are checked.

    report: default check.csv beside the manifest. engine: default `num_workers` processes. A check
    that is interrupted writes what it has, the clips not reached being `unchecked`, and goes on
    from there when it is called again (so a file that is mended meanwhile may need a third call).
    """
    where = report or _beside(manifest.source)
    found = CheckReport(manifest, where, Probes(len(manifest)), min_frames)
    parts = Parts(where, len(manifest), PART_ROWS, _input(found))
    if not begin_parts(parts, shard):
        return found
    with locked(parts.home / f"{shard.index}-of-{shard.count}.lock", f"checks {manifest.source}"):
        try:
            _probe_parts(
                found, parts, shard, executor or Processes(num_workers), timeout_seconds, progress
            )
        except BaseException:  # also Ctrl-C
            if shard == WHOLE:
                found.save()
            raise
        complete = finish_parts(parts, partial(_join, found), shard)
    return replace(found, complete=complete)


def _probe_parts(
    found: CheckReport,
    parts: Parts,
    shard: Shard,
    executor: Executor,
    timeout_seconds: float,
    progress: Progress | None,
) -> None:
    """Probe the clips of the parts that are missing, many parts at a time."""
    missing = parts.missing(shard)
    total = sum(len(parts[number].rows) for number in parts.numbers(shard))
    done = total - sum(len(part.rows) for part in missing)
    for start in range(0, len(missing), PARTS_AT_ONCE):
        some = missing[start : start + PARTS_AT_ONCE]
        left = {part: len(part.rows) for part in some}
        rows = np.concatenate([np.arange(part.start, part.stop) for part in some])
        for row, probe in probe_clips(
            found.manifest, rows, executor=executor, timeout_seconds=timeout_seconds
        ):
            found.probes[row] = probe
            part = parts[row // parts.size]
            left[part] -= 1
            if not left[part]:
                with replacing(part.path) as file:
                    found.probes.write(part.rows, file)
            done += 1
            if progress is not None:
                progress(done, total)


def _join(found: CheckReport, paths: Sequence[Path]) -> None:
    start = 0
    for path in paths:
        start = found.probes.read(start, path)
    found.save()


def _input(found: CheckReport) -> str:
    manifest = found.manifest
    counts = b"" if manifest.frame_counts is None else manifest.frame_counts.tobytes()
    return input_digest(
        {
            "manifest": manifest.digest(),
            "where": manifest.where(),
            "frame_counts": hashlib.sha256(counts).hexdigest(),
            "min_frames": found.min_frames,
        }
    )


def _beside(source: AnyPath) -> Path:
    if isinstance(source, Path):
        return source.with_name("check.csv")
    raise ManifestError(f"{source} lies in a store: no report beside it", "give --out check.csv")
