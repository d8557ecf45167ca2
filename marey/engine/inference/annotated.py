"""The rows of a manifest as what is marked in whole videos: all rows of one file are one video.

    path,label,start,end          a.mp4 shows class 3 from 0 to 2.5 s and class 1 from 4 s on;
    a.mp4,3,0,2.5                 from 2.5 to 4 s nothing is marked, which is background
    a.mp4,1,4,

An empty start is that of the video, an empty end its end: a row without either marks all of it. A
file is one however it is spelled: by another way to it, or by a link.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.results import classes_of
from marey.storage.url import AnyPath
from marey.timelines.spans import Spans
from marey.video.reading.reader import ROUNDED_UP_SECONDS, Span


@dataclass(frozen=True, eq=False, kw_only=True)
class AnnotatedVideo:
    """A video, and the rows of its manifest that mark something in it."""

    path: AnyPath
    """As its first row spells it."""
    rows: tuple[int, ...]
    manifest: Manifest

    @property
    def file(self) -> str:
        """What `file_of` says of it."""
        return file_of(self.path)

    @property
    def num_frames(self) -> int | None:
        """Frames that decode, if the manifest knows."""
        return self.manifest.num_frames(self.rows[0])

    def marked(
        self, times: np.ndarray, seconds: float, *, background: str = ""
    ) -> tuple[dict[str, Spans], list[str]]:
        """Head -> what is marked, in seconds, and in words each row that marks nothing here.

        Args:
            times: when each frame is shown, float64 [n].
            seconds: how long the video is; an end may lie up to a second behind it, as people round
                up, and is then that of the video.
            background: the class whose rows mark nothing.
        """
        spans: dict[str, list[tuple[float, float, int]]] = {}
        bad = []
        for row in self.rows:
            start, end = _bounds(self.manifest.span(row), times, seconds)
            if not (0 <= start < seconds and start < end <= seconds + ROUNDED_UP_SECONDS):
                bad.append(
                    f"{self.path}: {self.manifest.span(row)} is not in the video, which lasts "
                    f"{seconds:.3f} s"
                )
                continue
            for head, of_row in self._classes(row, background).items():
                known = spans.setdefault(head, [])
                known += [(start, min(end, seconds), number) for number in of_row]
        return {head: Spans.of(spans.get(head, ())) for head in self.manifest.classes}, bad

    def marked_blindly(self, *, background: str = "") -> dict[str, Spans]:
        """The same of a video that cannot be read: nothing in it can be found."""
        return {
            head: Spans.of(
                (0.0, 1.0, number)
                for row in self.rows
                for number in self._classes(row, background)[head]
            )
            for head in self.manifest.classes
        }

    def _classes(self, row: int, background: str) -> Mapping[str, list[int]]:
        manifest = self.manifest
        return {
            head: [n for n in classes_of(manifest.labels[head][row]) if names[n] != background]
            for head, names in manifest.classes.items()
        }


def annotated_videos(manifest: Manifest) -> list[AnnotatedVideo]:
    """The videos of a manifest, in the order in which it first names them."""
    by_path: dict[AnyPath, list[int]] = {}
    for row in range(len(manifest)):
        by_path.setdefault(manifest.path(row), []).append(row)
    rows: dict[str, list[int]] = {}
    for path, of_path in by_path.items():
        rows.setdefault(file_of(path), []).extend(of_path)
    return [
        AnnotatedVideo(path=manifest.path(of[0]), rows=tuple(sorted(of)), manifest=manifest)
        for of in rows.values()
    ]


def file_of(path: AnyPath) -> str:
    """The one way to spell the path of a file: absolute, links followed; a url as it is."""
    return os.path.realpath(path) if isinstance(path, Path) else str(path)


def _bounds(span: Span | None, times: np.ndarray, seconds: float) -> tuple[float, float]:
    """Start and end in seconds; NaN for a frame that the video has not."""
    start = 0.0 if span is None or span.start is None else span.start
    end = None if span is None else span.end
    if span is not None and span.unit == "frames":
        edges = np.append(times, seconds)
        start, *ends = (
            float(edges[int(at)]) if 0 <= at < len(edges) else np.nan
            for at in (start, *([] if end is None else [end]))
        )
        end = ends[0] if ends else None
    return start, seconds if end is None else end
