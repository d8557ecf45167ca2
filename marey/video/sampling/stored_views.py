"""Views of a clip whose features are kept: they stand one after the other, of equal length.

stored of a clip    [view 0: n vectors] [view 1: n vectors] ...       n as the encoder gives
in a test           all views           in training    one of them, drawn
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marey.types import check_counts
from marey.video.sampling.segments import FrameRule, Indices


@dataclass(frozen=True)
class StoredViews(FrameRule):
    """`views` of `frames` frames each, of which the vectors are kept.

    >>> StoredViews(frames=8, views=2).indices(6)
    array([[0, 1, 2],
           [3, 4, 5]])
    """

    frames: int
    views: int = 1

    def __post_init__(self) -> None:
        check_counts(frames=self.frames, views=self.views)

    @property
    def clips(self) -> int:
        """Views of a test."""
        return self.views

    def _indices(self, num_frames: int, rng: np.random.Generator | None) -> Indices:
        if num_frames % self.views:
            raise ValueError(f"{num_frames} vectors are not {self.views} views of equal length")
        indices: Indices = np.arange(num_frames).reshape(self.views, -1)
        return indices if rng is None else indices[[rng.integers(self.views)]]
