"""In which order clips are drawn: rows of an epoch, batches of a rank, a seed for every draw.

Everything is a function of (run seed, epoch, position in the epoch). So a run resumes at any step
with the draws it would have made, and W processes with batch b see, step by step, the clips that
one process with batch W x b sees, each with the same seed.

`ClassBalanced` and `SquareRoot` are the samplers of Kang et al., "Decoupling Representation and
Classifier for Long-Tailed Recognition" (arXiv:1910.09217, eq. 1 with q = 0 and q = 1/2): first a
class, then one of its clips. **Deviates**: the released code cycles through a shuffled list of
each class; here clips are drawn with replacement, so that a draw needs no memory of the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from marey.data.splitmix64 import numbers
from marey.errors import RecipeError, counted, did_you_mean

Sources: TypeAlias = pa.DictionaryArray
"""The name of the source of each row."""


class Sampler(Protocol):
    """A frozen dataclass that says which rows an epoch is made of. docs/extending.md writes one."""

    @property
    def head(self) -> str:
        """The head whose labels it is given; empty: the first."""
        ...

    def epoch_rows(
        self, labels: np.ndarray, sources: Sources | None, *, seed: int, epoch: int
    ) -> np.ndarray:
        """The rows of an epoch, in the order in which they are trained on.

        Args:
            labels: the class of each row, int64 [n]; bool [n k] where rows have several classes.
            sources: the source of each row, if the manifest names them.
            seed: of the run and its stage.
            epoch: from 0. The same seed and epoch must give the same rows: a resumed run and all
                processes of a run draw them anew.

        Returns:
            Rows int64 [m] from 0 to n - 1; marey's own samplers give m = n of them.
        """
        ...


@dataclass(frozen=True)
class InstanceBalanced:
    """Every row once, in a new order each epoch."""

    head: ClassVar[str] = ""

    def epoch_rows(
        self,
        labels: np.ndarray,
        sources: Sources | None = None,  # noqa: ARG002
        *,
        seed: int,
        epoch: int,
    ) -> np.ndarray:
        """Rows int64 [n]: a permutation."""
        return _generator(seed, epoch).permutation(len(labels))


@dataclass(frozen=True)
class _ByClass:
    """A class with a probability as the number of its rows to a power, then one of its rows."""

    head: str = ""

    power: ClassVar[float]

    def epoch_rows(
        self,
        labels: np.ndarray,
        sources: Sources | None = None,  # noqa: ARG002
        *,
        seed: int,
        epoch: int,
    ) -> np.ndarray:
        """Rows int64 [n], with replacement."""
        return _draw_by_class(labels, self.power, _generator(seed, epoch))


@dataclass(frozen=True)
class ClassBalanced(_ByClass):
    """Every class of `head` that has rows with the same probability, then one of its rows."""

    power = 0.0


@dataclass(frozen=True)
class SquareRoot(_ByClass):
    """Every class of `head` with a probability as the square root of its rows, then a row."""

    power = 0.5


def draw_epoch(
    sampler: Sampler,
    labels: Mapping[str, np.ndarray],
    sources: Sources | None,
    *,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Rows int64 [m] of an epoch, as `sampler` draws them.

    Args:
        sampler: the rule.
        labels: head -> the class of each row, int64 [n] or bool [n k].
        sources: the source of each row, if the manifest names them.
        seed: of the run and its stage.
        epoch: from 0.

    Raises:
        RecipeError: the clips lack the head that it looks at, or what it gives are no rows.
    """
    column = column_of(sampler, labels)
    rows = sampler.epoch_rows(column, sources, seed=seed, epoch=epoch)
    if rows.dtype != np.int64 or not ((rows >= 0) & (rows < len(column))).all():
        name, last = type(sampler).__name__, len(column) - 1
        raise RecipeError(f"{name} draws {rows}, expected rows int64 from 0 to {last}")
    return rows


def column_of(sampler: Sampler, labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """The labels that `sampler` looks at, of those of every head; RecipeError if they lack it."""
    head = sampler.head or next(iter(labels))
    if head not in labels:
        raise RecipeError(
            f"{type(sampler).__name__} balances the classes of head '{head}', which clips lack",
            did_you_mean(head, sorted(labels)),
        )
    return labels[head]


class EpochSampler:
    """The keys of batches for `clip_batches`: lists of (row, seed), the share of rank `rank`.

    rows: int64 [n], an epoch as a sampler gives it, the same on all ranks. Each step takes the
    next `batch_size * world_size` of them, of which rank r has the r-th slice; an incomplete last
    step is dropped. `start_step` steps are passed over (a run that is resumed).
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        rank: int = 0,
        world_size: int = 1,
        start_step: int = 0,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size:
            raise ValueError(
                f"batch_size {batch_size}, rank {rank} of {world_size}: expected a batch of at"
                " least 1 and a rank from 0 to world_size - 1"
            )
        self.rows, self.batch_size, self.rank = rows, batch_size, rank
        self.seed, self.epoch = seed, epoch
        self.joint_size = batch_size * world_size
        self.num_steps = len(rows) // self.joint_size
        if self.num_steps == 0:
            raise RecipeError(
                f"{counted(len(rows), 'clip')} cannot fill one batch of {self.joint_size}"
                f" ({world_size} x {batch_size})",
                f"lower batch_size to {len(rows) // world_size} or less"
                if len(rows) >= world_size
                else "use fewer processes",
            )
        if not 0 <= start_step <= self.num_steps:
            raise ValueError(f"start_step is {start_step}, expected 0 to {self.num_steps}")
        self.start_step = start_step

    def __len__(self) -> int:
        return self.num_steps - self.start_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        at_once = max(1, _BLOCK // self.batch_size)
        mine = self.rank * self.batch_size + np.arange(self.batch_size)
        for start in range(self.start_step, self.num_steps, at_once):
            steps = np.arange(start, min(start + at_once, self.num_steps))
            draws = steps[:, None] * self.joint_size + mine
            seeds = draw_seeds(self.seed, self.epoch, draws)
            for pair in zip(self.rows[draws].tolist(), seeds.tolist(), strict=True):
                yield list(zip(*pair, strict=True))


def draw_seeds(seed: int, epoch: int, positions: np.ndarray) -> np.ndarray:
    """One seed int64 >= 0 for each position (int64, any shape) of an epoch, well mixed.

    Number `position` of SplitMix64, from a start that SeedSequence hashes out of (seed, epoch).
    """
    start = np.random.SeedSequence((seed, epoch, _SEEDS)).generate_state(1, np.uint64)
    seeds: np.ndarray = (numbers(start, positions) >> np.uint64(1)).astype(np.int64)
    return seeds


_ROWS, _SEEDS, MIXING = 1, 2, 3
"""What a hash of (seed, epoch, purpose) is for, so that no two streams are the same."""


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng((seed, epoch, _ROWS))


def _draw_by_class(labels: np.ndarray, q: float, rng: np.random.Generator) -> np.ndarray:
    """n draws of a class with probability ~ count ** q, then of one of its rows.

    Rows are sorted by class, so that a class is a stretch of them: O(n) to build, two draws and
    two look-ups for a row. A table of weights over the rows is limited to 2^24 of them in torch.
    """
    num_rows = len(labels)
    shown, labels = np.nonzero(labels) if labels.ndim == 2 else (None, labels)
    counts = np.bincount(labels)
    small = np.uint16 if len(counts) <= 1 << 16 else np.int64  # 16 bits are sorted by radix
    by_class = np.argsort(labels.astype(small), kind="stable")
    by_class = by_class if shown is None else shown[by_class]
    present = np.flatnonzero(counts)
    first = (np.cumsum(counts) - counts)[present]
    size = counts[present]
    if q == 0:
        classes = rng.integers(len(present), size=num_rows)
    else:
        classes = draw_weighted(size.astype(np.float64) ** q, num_rows, rng)
    rows = np.empty(num_rows, dtype=np.int64)
    for block in _blocks(num_rows):
        drawn = classes[block]
        within = (rng.random(len(drawn)) * size[drawn]).astype(np.int64)
        rows[block] = by_class[first[drawn] + within]
    return rows


def draw_weighted(weights: np.ndarray, num_draws: int, rng: np.random.Generator) -> np.ndarray:
    """`num_draws` indices into `weights`, each with a probability as its weight."""
    edges = np.cumsum(weights)
    scale = _BUCKETS / edges[-1]
    of_edges = (edges * scale).astype(np.int64)
    # buckets keep the order of numbers: edges of lower ones are passed, edges of higher ones not
    least, most = (
        np.searchsorted(of_edges, np.arange(_BUCKETS + 1), side=side).astype(np.int32)
        for side in ("left", "right")
    )
    classes = np.empty(num_draws, dtype=np.int64)
    for block in _blocks(num_draws):
        drawn = rng.random(len(classes[block])) * edges[-1]
        buckets = (drawn * scale).astype(np.int64)
        here = least[buckets]
        near_an_edge = np.flatnonzero(here != most[buckets])
        here[near_an_edge] = np.searchsorted(edges, drawn[near_an_edge], side="right")
        classes[block] = here
    return np.minimum(classes, len(weights) - 1, out=classes)  # a draw rounded up to the last edge


_BUCKETS = 1 << 14
"""Equal parts of what is drawn from: few have an edge between two classes, the others one class."""
_BLOCK = 1 << 18
"""Draws that are worked on at a time: numbers in between stay in the cache and take no memory."""


def _blocks(num_draws: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, num_draws, _BLOCK))
