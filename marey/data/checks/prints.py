"""What each clip looks like in a few small grey pictures, by which clips are compared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from marey.data.checks.probe import FileJob, file_jobs
from marey.data.manifest.manifest import Manifest
from marey.errors import DecodeError
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.parts import Progress
from marey.jobs.processes import Lost
from marey.video.reading.reader import open_video

NUM_PICTURES, SIZE = 8, 16
"""Pictures of a clip, and their height and width."""


def print_clips(
    manifest: Manifest,
    rows: np.ndarray,
    *,
    executor: Executor = PROCESSES,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> np.ndarray:
    """The pictures of these rows (int64 [n]), uint8 [n 8 16 16]: the middles of eighths of a clip.

    Those of a clip that cannot be read are all 0.
    """
    prints = np.zeros((len(manifest), NUM_PICTURES, SIZE, SIZE), np.uint8)
    jobs, done = file_jobs(manifest, rows, thorough=False), 0
    for job, pictures in executor.answers(_print_file, jobs, timeout_seconds=timeout_seconds):
        if not isinstance(pictures, Lost):
            prints[list(job.rows)] = pictures
        done += len(job.rows)
        if progress is not None:
            progress(done, len(rows))
    found: np.ndarray = prints[rows]
    return found


def small_pictures(frames: np.ndarray) -> np.ndarray:
    """Means over the cells of a grid of 16 x 16 of each frame, uint8 [t c h w] -> [t 16 16].

    >>> small_pictures(np.full((1, 3, 40, 50), 7, np.uint8))[0, 5, :3]
    array([7, 7, 7], dtype=uint8)
    """
    grey = frames.sum(axis=1, dtype=np.float32)
    count = float(frames.shape[1])
    for axis in (1, 2):
        length = grey.shape[axis]
        edges = np.arange(SIZE + 1) * length // SIZE
        grey = np.add.reduceat(grey, edges[:-1], axis=axis)
        shape = [1, SIZE, 1] if axis == 1 else [1, 1, SIZE]
        grey = grey / np.maximum(np.diff(edges), 1).reshape(shape)
    pictures: np.ndarray = np.rint(grey / count).astype(np.uint8)
    return pictures


def _print_file(job: FileJob) -> np.ndarray:
    """The pictures of the rows of a job, uint8 [rows 8 16 16]."""
    return np.stack(list(_printed(job)))


def _printed(job: FileJob) -> Iterator[np.ndarray]:
    for span in job.spans:
        try:
            with open_video(job.path, span=span) as clip:
                middles = (np.arange(NUM_PICTURES) + 0.5) * len(clip) / NUM_PICTURES
                yield small_pictures(np.asarray(clip.read(middles.astype(int).tolist())))
        except (DecodeError, MemoryError):
            yield np.zeros((NUM_PICTURES, SIZE, SIZE), np.uint8)
