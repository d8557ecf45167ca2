"""Repeated augmentation: each clip of a batch stands there several times, changed otherwise.

Hoffer et al., "Augment your batch" (arXiv 1901.09335, CVPR 2020); MultiGrain (arXiv 1902.05509),
whose sampler timm has as `RepeatAugSampler`. As there an epoch keeps its length: of n draws there
are n / `repeats` clips, drawn anew each epoch. In `repeats` epochs a clip comes once in the mean,
but of 3 some 30 % do not come at all.

    drawn  a b c d ...        repeats: 3        an epoch   a b a b a b  c d c d c d ...

**Deviates**: copies take turns with those of one other clip, so that mixup and CutMix, whose
partner is the next clip of the batch, mix no clip with itself; timm deals copies to processes.
The copies of a pair are in one step where 2 x `repeats` divides the clips that all processes take.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from marey.data.loading.samplers import InstanceBalanced, Sampler, Sources
from marey.types import check_counts


@dataclass(frozen=True)
class Repeated:
    """The clips that `sampler` draws, each `repeats` times close together."""

    repeats: int = 3
    sampler: Sampler = field(default_factory=InstanceBalanced)

    def __post_init__(self) -> None:
        check_counts(repeats=self.repeats)

    @property
    def head(self) -> str:
        """The head whose classes it looks at; empty: the first."""
        return self.sampler.head

    def epoch_rows(
        self, labels: np.ndarray, sources: Sources | None, *, seed: int, epoch: int
    ) -> np.ndarray:
        """Rows int64 [m], as many as `sampler` draws; the last clip may have fewer copies."""
        drawn = self.sampler.epoch_rows(labels, sources, seed=seed, epoch=epoch)
        rows = drawn[: -(-len(drawn) // self.repeats)]
        even = len(rows) - len(rows) % 2
        pairs = np.tile(rows[:even].reshape(-1, 2), self.repeats)  # [a b] -> [a b a b a b]
        alone = rows[even:].repeat(self.repeats)
        return np.concatenate([pairs.ravel(), alone])[: len(drawn)]
