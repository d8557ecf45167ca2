"""Every clip of a manifest opened and decoded, and what is wrong with each, before training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from marey.data.checks.probe import Probes
from marey.data.checks.probe_journal import known_probes, probe_once
from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError, counted
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.half_done import HalfDone, input_digest
from marey.jobs.parts import Progress, kept_in_words
from marey.jobs.shards import WHOLE, Shard
from marey.storage.atomic import write_csv
from marey.storage.lock import locked
from marey.storage.url import AnyPath
from marey.video.reading.reader import Span

Status = Literal[
    "ok", "unreadable", "count-differs", "too-short", "unchecked", "not-measured", "cut-off"
]
"""`count-differs`: other frames decode than `num_frames` says; `unchecked`: not reached yet;
`not-measured`: its reader was given up, which says nothing of the file; `cut-off`: less than half
of the frames decode that the file itself says it has."""
STATUSES: tuple[Status, ...] = get_args(Status)

COLUMNS = (
    *("path", "start", "end", "status", "frames", "file_frames", "num_frames"),
    *("width", "height", "fps", "reason"),
)


@dataclass(frozen=True)
class CheckReport:
    """The verdict on every clip of a manifest."""

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
        rules: dict[Status, np.ndarray] = {
            "unchecked": ~probes.seen,
            "not-measured": ~probes.measured,
            "unreadable": probes.failed,
            "count-differs": np.asarray(differs),
            "cut-off": probes.cut_off,
            "too-short": short,
        }
        return np.select([*rules.values()], [*map(STATUSES.index, rules)], 0)

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
            return f"{counted(file_frames, 'frame')} decoded, the manifest says {promised}"
        if self.probes.cut_off[row]:
            return self.probes.told(row)
        few = frames < self.min_frames
        return f"{counted(frames, 'frame')}, fewer than {self.min_frames}" if few else ""

    @property
    def as_json(self) -> dict[str, Any]:
        """What `marey data check --json` says."""
        return {
            "path": str(self.path),
            "complete": self.complete,
            "clips": len(self.manifest),
            "statuses": {status: count for status, count in self.counts.items() if count},
            "faults": [
                {
                    "path": str(self.manifest.path(row)),
                    "status": STATUSES[self.statuses[row]],
                    "reason": self.reason(row),
                }
                for row in self.bad_rows.tolist()
            ],
        }

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
    executor: Executor = PROCESSES,
    shard: Shard = WHOLE,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> CheckReport:
    """The verdict on every clip, wholly decoded; also written once all are checked.

    A check that is interrupted writes what it has, the clips not reached being `unchecked`, and
    goes on from there when it is called again.

    Args:
        report: where it is written; by default check.csv beside the manifest, where an earlier
            one is made anew.
        min_frames: fewer are too short.
        executor: the processes that decode.
        shard: the share of the files that is decoded; the last share to end writes the report.
        timeout_seconds: how long a file may take without a frame (`Executor.answers`).
        progress: called with clips (done, total) of the shard.
        overwrite: whether a file `report` may be replaced.

    Raises:
        KeyboardInterrupt: with a note of what is kept.
        ManifestError: the report cannot be written.
        RunError: another process checks the same, or the report is there already.
    """
    path = report or _beside(manifest.source)
    may_replace = overwrite or report is None
    half_done = HalfDone(path, _digest(manifest, min_frames), overwrite=may_replace)
    unseen = CheckReport(manifest, path, Probes(len(manifest)), min_frames)
    if not half_done.begin(shard):
        return unseen
    name = f"{shard.index}-of-{shard.count}.lock"
    with locked(half_done.home / name, f"checks {manifest.source}"):
        try:
            probes = probe_once(
                manifest,
                half_done.folder,
                thorough=True,
                executor=executor,
                shard=shard,
                timeout_seconds=timeout_seconds,
                progress=progress,
            )
        except BaseException as stop:  # also Ctrl-C
            known = known_probes(manifest, half_done.folder)
            if shard.is_whole:
                replace(unseen, probes=known).save()
            if isinstance(stop, KeyboardInterrupt):
                stop.add_note(kept_in_words(int(known.seen.sum()), len(manifest), path))
            raise
        complete = bool(probes.seen.all())
        checked = replace(unseen, probes=probes, complete=complete)
        if complete:
            half_done.finish(checked.save, shard)
    return checked


def _digest(manifest: Manifest, min_frames: int) -> str:
    """Of all that the report depends on but the files themselves."""
    counts = b"" if manifest.frame_counts is None else manifest.frame_counts.tobytes()
    return input_digest(
        {
            "manifest": manifest.digest(),
            "where": manifest.where(),
            "frame_counts": hashlib.sha256(counts).hexdigest(),
            "min_frames": min_frames,
        }
    )


def _beside(source: AnyPath) -> Path:
    if isinstance(source, Path):
        return source.with_name("check.csv")
    raise ManifestError(f"{source} lies in a store: no report beside it", "give --out check.csv")
