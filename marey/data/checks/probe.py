"""What a file holds when it is really decoded, found in parallel and safe from bad files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from marey.data.features.feature_folder import holds_features, open_features
from marey.data.manifest.manifest import Manifest
from marey.errors import DecodeError, counted
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.parts import Progress
from marey.jobs.processes import Lost
from marey.storage.url import AnyPath, Url
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.reader import Span, open_video

BLOCK = 16
"""Frames that are in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A clip as it decodes; `error` says why it does not, and then the numbers are 0."""

    size: int = -1
    """Of the file in bytes, before it was decoded."""
    changed: int = 0
    """When it was changed, in nanoseconds."""
    frames: int = 0
    """In the clip: in its span, if it has one."""
    file_frames: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    """0 where unknown, as for a folder of frames."""
    error: str = ""
    measured: bool = True
    """False where the error says nothing of the file: its reader was given up."""
    announced: int = 0
    """Frames that the container says the file has, 0 where it says nothing."""


class Probes:
    """The probes of all rows of a manifest, in columns; rows not yet probed are not `seen`."""

    def __init__(self, num_rows: int, probes: Iterable[tuple[int, Probe]] = ()) -> None:
        """`probes`: rows with theirs, as `probe_clips` gives them."""
        self.seen = np.zeros(num_rows, bool)
        counts = np.zeros((5, num_rows), np.int64)
        self.frames, self.file_frames, self.width, self.height, self.announced = counts
        self.fps = np.zeros(num_rows)
        self.errors: dict[int, str] = {}
        self.measured = np.ones(num_rows, bool)
        for row, probe in probes:
            self[row] = probe

    def __setitem__(self, row: int, probe: Probe) -> None:
        self.seen[row] = True
        for name in ("frames", "file_frames", "width", "height", "announced", "fps", "measured"):
            getattr(self, name)[row] = getattr(probe, name)
        self.errors.pop(row, None)
        if probe.error:
            self.errors[row] = probe.error

    @property
    def failed(self) -> np.ndarray:
        """Whether a row could not be read, bool [n]."""
        failed = np.zeros(len(self.seen), bool)
        failed[list(self.errors)] = True
        return failed

    @property
    def cut_off(self) -> np.ndarray:
        """Whether less than half of the frames decode that the file says it has, bool [n]."""
        return 2 * self.file_frames < self.announced

    def told(self, row: int) -> str:
        """What decodes of a file and what it says of itself."""
        return decoded_of(int(self.file_frames[row]), int(self.announced[row]))


def lacks_frames(frames: int, announced: int) -> bool:
    """Whether so few frames decode of those that a file announces that it is to be said."""
    return 10 * frames < 9 * announced


def decoded_of(frames: int, announced: int) -> str:
    """What decodes of a file and what it says of itself.

    >>> decoded_of(1, 30)
    '1 frame decodes of 30 that the file announces'
    """
    verb = "decodes" if frames == 1 else "decode"
    return f"{counted(frames, 'frame')} {verb} of {announced:,} that the file announces"


def doubt(frames: int, announced: int, modality: str = "rgb") -> str:
    """What a file is that can be read, but not be relied on; "" of any other.

    >>> doubt(17, 110)
    'cut off or damaged: 17 frames decode of 110 that the file announces'
    """
    if frames == 1 and modality == "rgb":
        return "one picture, not a video: every frame that the model sees is it"
    if lacks_frames(frames, announced):
        return f"cut off or damaged: {decoded_of(frames, announced)}"
    return ""


@dataclass(frozen=True)
class FileJob:
    """A file, with the rows and the spans of the clips in it."""

    path: AnyPath
    rows: tuple[int, ...]
    spans: tuple[Span | None, ...]
    thorough: bool


def probe_clips(
    manifest: Manifest,
    rows: np.ndarray | None = None,
    *,
    thorough: bool = True,
    executor: Executor = PROCESSES,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Probe]]:
    """Every row (int64; default all) with its `Probe`, in the order they are done.

    A file is decoded once, however many spans of it are clips; a folder of frames wholly only if
    `thorough`, else its first and last. A file that crashes or hangs the decoder has an error,
    which says of the latter that nothing was measured; a machine that is busy makes none of either.
    """
    rows = np.arange(len(manifest)) if rows is None else rows
    jobs, done = file_jobs(manifest, rows, thorough), 0
    for job, probes in executor.answers(_probe_file, jobs, timeout_seconds=timeout_seconds):
        if isinstance(probes, Lost):
            probes = (_lost(job.path, probes),) * len(job.rows)
        yield from zip(job.rows, probes, strict=True)
        done += len(job.rows)
        if progress is not None:
            progress(done, len(rows))


def stamp_of(path: str | AnyPath) -> tuple[int, int]:
    """Size and time of change of a file, (-1, 0) without one; in a store, always the same."""
    if isinstance(path, Url):
        return 0, 0
    try:
        status = os.stat(path)  # noqa: PTH116  # a Path an item would double the time
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


def file_jobs(manifest: Manifest, rows: np.ndarray, thorough: bool) -> Iterator[FileJob]:
    """A job a file, one after the other: all those of a large manifest would fill the memory."""
    for root, below in manifest.roots.parts(rows):
        paths = manifest.paths.take(pa.array(below)).combine_chunks().dictionary_encode()
        codes = paths.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        for start, stop in pairwise([*starts.tolist(), len(order)]):
            same = tuple(below[order[start:stop]].tolist())
            path = root / str(paths.dictionary[int(codes[order[start]])])
            yield FileJob(path, same, tuple(map(manifest.span, same)), thorough)


def _lost(path: AnyPath, lost: Lost) -> Probe:
    if not lost.hung:
        return Probe(error=f"{path}: {lost.reason}")
    return Probe(error=f"{path}: not measured in time: {lost.reason}", measured=False)


def _probe_file(job: FileJob) -> tuple[Probe, ...]:
    """A probe a row of the job."""
    size, changed = stamp_of(job.path)
    try:
        if holds_features(str(job.path)):
            assert isinstance(job.path, Path), "a manifest has no features in stores"
            with open_features(job.path) as frames:
                whole = Probe(frames=len(frames), file_frames=len(frames))
        else:
            with open_video(job.path) as video:
                whole = _probe_whole(video, job.thorough)
    except DecodeError as error:
        return (Probe(error=str(error)),) * len(job.rows)
    except MemoryError:
        return (Probe(error=f"{job.path}: too large for the memory"),) * len(job.rows)
    whole = replace(whole, size=size, changed=changed)
    return tuple(_probe_span(job.path, whole, span) for span in job.spans)


def _probe_whole(video: FrameReader, thorough: bool) -> Probe:
    num_frames = len(video)
    height, width = video.read([0]).shape[-2:]
    if video.path.is_dir():  # its frames are counted, not yet decoded
        starts = range(0, num_frames, BLOCK) if thorough else [num_frames - 1]
        for start in starts:
            video.read(range(start, min(start + BLOCK, num_frames)))
    return Probe(
        frames=num_frames,
        file_frames=num_frames,
        width=width,
        height=height,
        fps=video.fps or 0.0,
        announced=video.announced,
    )


def _probe_span(path: AnyPath, whole: Probe, span: Span | None) -> Probe:
    if span is None:
        return whole
    try:
        with open_video(path, span=span, num_frames=whole.frames) as clip:
            return replace(whole, frames=len(clip))
    except DecodeError as error:
        return replace(whole, frames=0, width=0, height=0, error=str(error))
