"""What a file holds when it is really decoded, found in parallel and safe from bad files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from marey.data.features.feature_folder import holds_features, open_features
from marey.data.manifest.manifest import Manifest
from marey.errors import DecodeError
from marey.jobs.executors import Executor, Processes
from marey.jobs.parts import Progress
from marey.jobs.processes import Lost
from marey.storage.url import AnyPath
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.reader import Span, open_video

BLOCK = 16
"""Frames that are in memory at a time."""


@dataclass(frozen=True)
class Probe:
    """A clip as it decodes; `error` says why it does not, and then the numbers are 0."""

    frames: int = 0
    """In the clip: in its span, if it has one."""
    file_frames: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    """0 where unknown, as for a folder of frames."""
    error: str = ""


_COLUMNS = ("frames", "file_frames", "width", "height", "fps")


class Probes:
    """The probes of all rows of a manifest, in columns; rows not yet probed are not `seen`."""

    def __init__(self, num_rows: int) -> None:
        self.seen = np.zeros(num_rows, bool)
        self.frames, self.file_frames, self.width, self.height = np.zeros((4, num_rows), np.int64)
        self.fps = np.zeros(num_rows)
        self.errors: dict[int, str] = {}

    def __setitem__(self, row: int, probe: Probe) -> None:
        self.seen[row] = True
        self.frames[row], self.file_frames[row] = probe.frames, probe.file_frames
        self.width[row], self.height[row], self.fps[row] = probe.width, probe.height, probe.fps
        if probe.error:
            self.errors[row] = probe.error

    def write(self, rows: range, file: BinaryIO) -> None:
        """Write these rows as an Arrow file."""
        columns = {name: getattr(self, name)[rows.start : rows.stop] for name in _COLUMNS}
        errors = pa.array([self.errors.get(row, "") for row in rows], pa.large_string())
        table = pa.table(columns | {"error": errors})
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def read(self, start: int, path: Path) -> int:
        """Take rows from `start` on as `write` wrote them; the row after the last."""
        with path.open("rb") as file:
            table = pa.ipc.open_file(file).read_all()
        stop = start + len(table)
        for name in _COLUMNS:
            getattr(self, name)[start:stop] = table[name].to_numpy()
        self.seen[start:stop] = True
        said = enumerate(table["error"].to_pylist(), start)
        self.errors |= {row: error for row, error in said if error}
        return stop

    @property
    def failed(self) -> np.ndarray:
        """Whether a row could not be read, bool [n]."""
        failed = np.zeros(len(self.seen), bool)
        failed[list(self.errors)] = True
        return failed


@dataclass(frozen=True)
class _Job:
    path: AnyPath
    rows: tuple[int, ...]
    spans: tuple[Span | None, ...]
    thorough: bool


def probe_clips(
    manifest: Manifest,
    rows: np.ndarray | None = None,
    *,
    thorough: bool = True,
    num_workers: int | None = None,
    executor: Executor | None = None,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Probe]]:
    """Every row (int64; default all) with its `Probe`, in the order they are done.

    A file is decoded once, however many spans of it are clips; a folder of frames wholly only if
    `thorough`, else its first and last. A file that crashes or hangs the decoder has an error.
    engine: default `num_workers` processes.
    """
    jobs = _jobs(manifest, np.arange(len(manifest)) if rows is None else rows, thorough)
    total, done = sum(len(job.rows) for job in jobs), 0
    executor = executor or Processes(num_workers)
    found = executor.answers(_probe_file, jobs, timeout_seconds=timeout_seconds)
    for job, probes in found:
        if isinstance(probes, Lost):
            probes = (Probe(error=f"{job.path}: {probes.reason}"),) * len(job.rows)
        yield from zip(job.rows, probes, strict=True)
        done += len(job.rows)
        if progress is not None:
            progress(done, total)


def probe_rows(
    manifest: Manifest,
    rows: np.ndarray,
    *,
    num_workers: int | None = None,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Probes:
    """The probes of these rows, the others unseen; of a folder of frames only the ends are read."""
    probes = Probes(len(manifest))
    for row, probe in probe_clips(
        manifest,
        rows,
        thorough=False,
        num_workers=num_workers,
        timeout_seconds=timeout_seconds,
        progress=progress,
    ):
        probes[row] = probe
    return probes


def _jobs(manifest: Manifest, rows: np.ndarray, thorough: bool) -> list[_Job]:
    by_path: dict[tuple[AnyPath, str], list[int]] = {}
    for root, there in manifest.roots.parts(rows):
        for row, path in zip(there.tolist(), manifest.texts(there), strict=True):
            by_path.setdefault((root, path), []).append(row)
    return [
        _Job(root / path, tuple(same), tuple(map(manifest.span, same)), thorough)
        for (root, path), same in by_path.items()
    ]


def _probe_file(job: _Job) -> tuple[Probe, ...]:
    try:
        if holds_features(str(job.path)):
            assert isinstance(job.path, Path), "a manifest has no features in stores"
            with open_features(job.path) as frames:
                return (Probe(len(frames), len(frames)),) * len(job.rows)
        with open_video(job.path) as video:
            whole = _probe_whole(video, job.thorough)
    except DecodeError as error:
        return (Probe(error=str(error)),) * len(job.rows)
    except MemoryError:
        return (Probe(error=f"{job.path}: too large for the memory"),) * len(job.rows)
    return tuple(_probe_span(job.path, whole, span) for span in job.spans)


def _probe_whole(video: FrameReader, thorough: bool) -> Probe:
    num_frames = len(video)
    height, width = video.read([0]).shape[-2:]
    if video.path.is_dir():  # its frames are counted, not yet decoded
        starts = range(0, num_frames, BLOCK) if thorough else [num_frames - 1]
        for start in starts:
            video.read(range(start, min(start + BLOCK, num_frames)))
    return Probe(num_frames, num_frames, width, height, video.fps or 0.0)


def _probe_span(path: AnyPath, whole: Probe, span: Span | None) -> Probe:
    if span is None:
        return whole
    try:
        with open_video(path, span=span, num_frames=whole.frames) as clip:
            return replace(whole, frames=len(clip))
    except DecodeError as error:
        return Probe(file_frames=whole.frames, error=str(error))
