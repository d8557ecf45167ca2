"""timelines.json as a value: how right the timelines of videos are, and what was found in each.

A number of which nothing was tested is NaN, and null in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from marey.metrics.intervals import Estimate
from marey.storage.text_files import write_json
from marey.timelines.segments import SegmentRule

FILE = "timelines.json"


@dataclass(frozen=True, kw_only=True)
class ClassTimeline:
    """One class over all videos."""

    num_marked: int
    """Spans that people marked."""
    num_found: int
    """Segments that were found."""
    precision: dict[str, float]
    """tIoU -> average precision in percent; NaN where nothing is marked."""


@dataclass(frozen=True, kw_only=True)
class HeadTimeline:
    """One head: its numbers in percent by their names, with intervals over videos."""

    estimates: dict[str, Estimate]
    classes: dict[str, ClassTimeline]


@dataclass(frozen=True, kw_only=True)
class VideoTimeline:
    """One video: what is marked in it, and what was found, each with `start`, `end`, `label`."""

    path: str
    seconds: float | None = None
    """None if it could not be read."""
    marked: list[dict[str, str | float]] = field(default_factory=list)
    found: list[dict[str, str | float]] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class TimelineResults:
    """What timelines.json says.

    Args:
        models: the folders of the models, one or one a fold.
        manifest, root, split, data_hash, num_clips: which spans are marked, by the names that these
            have in results.json, so that `results_place` tells them apart.
        window_seconds, stride_seconds: how the videos were cut.
        rule: how segments were made of windows.
        heads: the numbers of every head.
        videos: every video.
        bad_spans: in words, rows that mark nothing in their video; they count for nothing.
        weights: which they are, in words.
        caution: why the numbers are better than those of other videos would be; "" if they are not.
    """

    models: list[str]
    manifest: str
    root: str
    split: str
    data_hash: str
    num_clips: int
    window_seconds: float
    stride_seconds: float
    rule: SegmentRule
    heads: dict[str, HeadTimeline]
    videos: list[VideoTimeline]
    bad_spans: list[str]
    weights: str = ""
    caution: str = ""

    @property
    def missing(self) -> list[VideoTimeline]:
        """The videos that could not be read."""
        return [video for video in self.videos if video.error]

    def write(self, folder: Path) -> Path:
        """The file that it was written to."""
        write_json(folder / FILE, self)
        return folder / FILE
