"""A video file as a stream: at the pace at which it was filmed, or as fast as it can be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from marey.video.live.clock import Pace
from marey.video.live.decoding import moments
from marey.video.live.moment import Moment
from marey.video.reading.ffmpeg_stream import open_stream


@dataclass(frozen=True)
class VideoAsStream:
    """The frames of a file, each at its time; with `hurry`, each as soon as it is decoded."""

    path: Path
    hurry: bool = False

    breaks = False

    @property
    def name(self) -> str:
        """Where it lies."""
        return str(self.path)

    def moments(self, stop: threading.Event) -> Iterator[Moment | str]:
        """The frames; DecodeError if it is no video."""
        pace = Pace(stop)
        # a file is read as any other video here: FFmpeg opens nothing but its bytes
        with open_stream(self.path) as opened:
            for each in moments(self.name, opened.container, opened.stream, live=False):
                if stop.is_set():
                    return
                opened.file.unused = 0
                if isinstance(each, Moment) and not self.hurry:
                    pace.wait_until(each.seconds)
                yield each
