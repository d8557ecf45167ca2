"""Every clip of a manifest opened and decoded, and what is wrong with each, before training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from marey.data.atomic import write_csv
from marey.data.manifest import Manifest
from marey.data.probe import Probes, Progress, probe_clips
from marey.video.reader import Span

Status = Literal["ok", "unreadable", "count-differs", "too-short", "unchecked"]
"""`count-differs`: other frames decode than `num_frames` says; `unchecked`: not reached yet."""
STATUSES: tuple[Status, ...] = get_args(Status)

COLUMNS = (
    *("path", "start", "end", "status", "frames", "file_frames", "num_frames"),
    *("width", "height", "fps", "reason"),
)
SAVE_SECONDS = 30.0


@dataclass(frozen=True)
class CheckReport:
    """What was found, a row a clip of the manifest."""

    manifest: Manifest
    path: Path
    """Where the report is written: check.csv, the columns `COLUMNS`."""
    probes: Probes
    min_frames: int

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
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> CheckReport:
    """The verdict on every clip, wholly decoded in parallel processes; also written to `report`.

    report: default check.csv beside the manifest. It is saved every half minute and when the check
    is interrupted; the clips not reached by then are `unchecked`.
    """
    where = report or manifest.source.with_name("check.csv")
    found = CheckReport(manifest, where, Probes(len(manifest)), min_frames)
    found.save()  # an unwritable folder is an error now, not after hours
    saved = time.monotonic()
    try:
        for row, probe in probe_clips(
            manifest, num_workers=num_workers, timeout_seconds=timeout_seconds, progress=progress
        ):
            found.probes[row] = probe
            if time.monotonic() - saved > SAVE_SECONDS:
                found.save()
                saved = time.monotonic()
    finally:
        found.save()
    return found
