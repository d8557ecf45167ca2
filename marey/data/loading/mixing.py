"""Epochs of clips from several sources, such as real and synthetic ones, in shares by weight.

Each draw takes a source with a probability as its weight, then a clip of that source as `sampler`
gives them: with `ClassBalanced`, every class of the source equally often. So in expectation the
share of draws of a source is the share of its weight, however many clips it has. A source with
fewer clips than draws is gone through more than once, in another order each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from marey.data.loading.samplers import MIXING, InstanceBalanced, Sampler, Sources, draw_weighted
from marey.errors import RecipeError, counted, did_you_mean


@dataclass(frozen=True)
class Mixed:
    """Clips of every source in the share of its weight, within a source as `sampler` draws them."""

    sources: tuple[tuple[str, float], ...]
    """Name and weight; every source of the manifest is named, 0 leaves its clips out."""
    sampler: Sampler = field(default_factory=InstanceBalanced)

    def __post_init__(self) -> None:
        weights = [weight for _, weight in self.sources]
        if not all(0 <= weight < math.inf for weight in weights) or not sum(weights):
            raise ValueError(f"sources is {self.sources}, expected weights from 0, not all of them")
        if len({name for name, _ in self.sources}) < len(self.sources):
            raise ValueError(f"sources is {self.sources}, expected each name once")

    @property
    def head(self) -> str:
        """The head whose classes it looks at; empty: the first."""
        return self.sampler.head

    def epoch_rows(
        self, labels: np.ndarray, sources: Sources | None, *, seed: int, epoch: int
    ) -> np.ndarray:
        """Rows int64 [n] for labels [n] or [n k] and the source of each row."""
        codes = self.codes(sources)
        weights = np.array([weight for _, weight in self.sources])
        used = weights.nonzero()[0]
        rng = np.random.default_rng((seed, epoch, MIXING))
        source_of_draw = used[draw_weighted(weights[used], len(labels), rng)].astype(np.uint16)
        rows = np.empty(len(labels), dtype=np.int64)
        for code in used.tolist():
            mine, draws = np.flatnonzero(codes == code), source_of_draw == code
            wanted = int(np.count_nonzero(draws))
            passes = [
                self.sampler.epoch_rows(
                    labels[mine], None, seed=_seed(seed, epoch, code, n), epoch=epoch
                )
                for n in range(-(-wanted // len(mine)))
            ]
            rows[draws] = mine[np.concatenate([np.zeros(0, np.int64), *passes])[:wanted]]
        return rows

    def codes(self, sources: Sources | None) -> np.ndarray:
        """Which of `sources` each row has, uint16 [n]; RecipeError if the two do not match."""
        if sources is None:
            raise RecipeError(
                "Mixed needs a manifest with a column 'source'",
                "join manifests, or name the source of every clip",
            )
        names, indices = sources.dictionary.to_pylist(), sources.indices.to_numpy()
        counts = dict(zip(names, np.bincount(indices, minlength=len(names)).tolist(), strict=True))
        present = [name for name, count in counts.items() if count]
        code_of = {name: code for code, (name, _) in enumerate(self.sources)}
        for name, weight in self.sources:
            if weight and name not in present:
                hint = did_you_mean(name, present)
                raise RecipeError(f"no training clip has the source '{name}'", hint)
        for name in present:
            if name not in code_of:
                clips = counted(counts[name], "clip")
                message = f"Mixed.sources has no weight for '{name}', {clips}"
                raise RecipeError(message, "0 leaves them out")
        codes: np.ndarray = np.array([code_of.get(n, 0) for n in names], dtype=np.uint16)[indices]
        return codes


def _seed(seed: int, epoch: int, code: int, part: int) -> int:
    """A seed for one pass over one source."""
    words = np.random.SeedSequence((seed, epoch, MIXING, code, part)).generate_state(1, np.uint64)
    return int(words[0])
