"""What a page shows of each clip: a still, a small video that plays, and what decodes of the file.

They lie in a folder beside the page, three files a clip under a name that follows from the clip and
its file: what is there is not made again, so that a page that was interrupted goes on. KEY.json is
written last and says what decodes; KEY.jpg and KEY.mp4 are there if it says so.

A video lasts `SECONDS` at most (a longer clip is played faster) and has `KILOBITS` a second at
most, so that a clip takes at most some 120 KB and as a rule 30.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from pydantic_core import to_json

from marey.data.checks.probe import FileJob, Probe, file_jobs, stamp_of
from marey.data.manifest.manifest import Manifest
from marey.engine.report.frame_strips import JPEG_QUALITY, SECONDS, encoded, spread_over
from marey.errors import DecodeError, ManifestError, RunError, StorageError
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.parts import Progress
from marey.jobs.processes import Lost
from marey.storage.atomic import make_folder, replacing
from marey.storage.text_files import as_value, read_json
from marey.storage.url import AnyPath
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.jpeg import encode_jpeg
from marey.video.reading.reader import Span, open_video

HEIGHT, KILOBITS = 144, 200
"""Pixels of the pictures; kilobits of a second of video, at most."""
MADE_BY = "1"
"""Changes when what is made of a clip does: then all are made anew."""
_OURS = re.compile(r"[0-9a-f]{24}\.(jpg|mp4|json)")


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is shown of a clip."""

    probe: Probe
    """What decodes of it; without an error there is a still."""
    seconds: float = 0.0
    """How long it lasts; 0 where nobody knows."""
    plays: bool = False
    """Whether there is a video, too: not of a single frame."""
    faster: float = 1.0
    """How many times as fast as the clip the video is."""


def make_looks(
    manifest: Manifest,
    folder: Path,
    *,
    executor: Executor = PROCESSES,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> list[tuple[str, Look]]:
    """For every row the name of its files in `folder`, and the look; what is not there is made.

    A file that crashes or hangs the decoder is a fault of its clips, which is not written down: it
    is tried again the next time. Files that are of no clip of the manifest are removed.

    Args:
        executor: the processes that decode.
        timeout_seconds: how long a file may take without a frame (`Executor.answers`).
        progress: called with clips (done, total).

    Raises:
        ManifestError: the folder cannot be written.
    """
    make_folder(folder)
    keys = [_key(manifest, row) for row in range(len(manifest))]
    looks = {row: look for row, key in enumerate(keys) if (look := _made(folder, key))}
    missing = np.setdiff1d(np.arange(len(keys)), [*looks])
    jobs = file_jobs(manifest, missing, thorough=False)
    named = ((job, tuple(keys[row] for row in job.rows)) for job in jobs)
    look_at = partial(_look_at, folder=folder)
    for (job, _), made in executor.answers(look_at, named, timeout_seconds=timeout_seconds):
        if isinstance(made, ManifestError):
            raise made
        if isinstance(made, Lost):
            error = f"{job.path}: {made.reason}"
            made = [Look(probe=Probe(error=error, measured=not made.hung))] * len(job.rows)
        looks |= dict(zip(job.rows, made, strict=True))
        if progress is not None:
            progress(len(looks), len(keys))
    _forget_others(folder, {*keys})
    return [(key, looks[row]) for row, key in enumerate(keys)]


def _key(manifest: Manifest, row: int) -> str:
    """What tells the clip of a row, as its file is now, from all others."""
    clip = manifest.clip(row)
    facts = (MADE_BY, str(clip.path), str(clip.span), clip.fps, stamp_of(clip.path))
    return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()[:24]


def _made(folder: Path, key: str) -> Look | None:
    path = folder / f"{key}.json"
    try:
        return as_value(Look, read_json(path), path) if path.is_file() else None
    except RunError:  # somebody changed it: it is made again
        return None


def _look_at(job: tuple[FileJob, tuple[str, ...]], folder: Path) -> list[Look] | ManifestError:
    """The looks at all clips of a file, written; the error of the folder if they cannot be."""
    file, keys = job
    num_frames, looks = None, []
    try:
        for key, span in zip(keys, file.spans, strict=True):
            look = _look(file.path, span, num_frames, folder / key)
            num_frames = look.probe.file_frames or num_frames
            looks.append(look)
    except ManifestError as error:
        return error
    return looks


def _look(path: AnyPath, span: Span | None, num_frames: int | None, target: Path) -> Look:
    """The look at one clip, its files written as `target` with their suffixes.

    num_frames: of the whole file, if a clip of it was opened before.
    """
    try:
        with open_video(path, num_frames=num_frames) as whole:
            probe = Probe(file_frames=len(whole), fps=whole.fps or 0.0, announced=whole.announced)
        with open_video(path, span=span, num_frames=probe.file_frames) as clip:
            look = _written(clip, probe, target)
    except StorageError as error:  # which says nothing of the file: asked again the next time
        return Look(probe=Probe(error=str(error), measured=False))
    except DecodeError as error:
        look = Look(probe=Probe(error=str(error)))
    except MemoryError:
        look = Look(probe=Probe(error=f"{path}: too large for the memory"))
    _write(target.with_suffix(".json"), to_json(look))
    return look


def _written(clip: FrameReader, probe: Probe, target: Path) -> Look:
    (first,) = clip.pictures([0])
    frames, seconds = spread_over(clip, HEIGHT)
    shown, plays = min(seconds, SECONDS), len(frames) > 1
    _write(target.with_suffix(".jpg"), encode_jpeg(frames[len(frames) // 2], quality=JPEG_QUALITY))
    if plays:
        _write(target.with_suffix(".mp4"), encoded(frames, shown, KILOBITS))
    return Look(
        probe=replace(probe, frames=len(clip), height=first.shape[0], width=first.shape[1]),
        seconds=seconds if clip.fps else 0.0,
        plays=plays,
        faster=seconds / shown,
    )


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)


def _forget_others(folder: Path, wanted: Collection[str]) -> None:
    """Remove what was made of clips that are no longer shown, or of files that changed since."""
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and path.stem not in wanted:
            path.unlink(missing_ok=True)
