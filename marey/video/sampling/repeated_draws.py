"""Test clips that are drawn as in training, yet the same in every test.

TDN tests Kinetics so (arXiv 2012.10071): ten runs over the videos, each of them with the frames
that its training would have drawn; bLVNet-TAM does it with `--random_sampling`.

**Deviates** from both, which seed nothing, so that their numbers vary from run to run: here clip i
has a generator of its own, whose seed is i.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from marey.types import check_counts, check_numbers
from marey.video.sampling.segments import Indices, Sampling, Segments, at_rate, in_segments


@dataclass(frozen=True)
class Drawn:
    """`clips` clips, each drawn as `rule` draws one in training.

    >>> Drawn(Segments(4), clips=2).indices(100).shape
    (2, 4)
    """

    rule: Sampling = field(default_factory=Segments)
    clips: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(clips=self.clips)
        check_numbers(at_least=0, seed=self.seed)

    @property
    def frames(self) -> int:
        """Frames a clip has."""
        return self.rule.frames

    def in_segments(self, segments: int) -> Drawn:
        """The same rule for so many."""
        return replace(self, rule=in_segments(self.rule, segments))

    def at(self, fps: float) -> Drawn:
        """The same for a video of `fps` frames a second."""
        return replace(self, rule=at_rate(self.rule, fps))

    def indices(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
        """Frames [v, t]: v is 1 with an `rng`, else `clips`; ValueError without frames."""
        if rng is not None:
            return self.rule.indices(num_frames, rng)
        rngs = (np.random.default_rng((self.seed, clip)) for clip in range(self.clips))
        return np.concatenate([self.rule.indices(num_frames, rng) for rng in rngs])
