"""Clips as the lists of other toolboxes have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ListedClip:
    """A clip as lists have it."""

    path: str
    """Of its folder or file, from the folder of the lists."""
    num_frames: int
    labels: tuple[int, ...]
    """Class indices, none if they are not published."""


@dataclass(frozen=True, kw_only=True)
class ListedClips:
    """All clips of a packing."""

    folder: Path
    """Of the lists, absolute."""
    splits: Mapping[str, list[ListedClip]]
    classes: tuple[str, ...]
    """None if labels are not published."""
    template: str
    """How frames are named, from 1; empty for mp4 files."""

    @property
    def several(self) -> bool:
        """Whether a clip has several labels."""
        return any(len(clip.labels) > 1 for clips in self.splits.values() for clip in clips)

    @property
    def unlabelled(self) -> bool:
        """Whether labels are not published."""
        return not self.classes

    def having(self, pattern: str) -> str | None:
        """The first path that a pattern is found in."""
        paths = (clip.path for clips in self.splits.values() for clip in clips)
        return next((path for path in paths if re.search(pattern, path)), None)
