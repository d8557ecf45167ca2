"""How many clips each class of a long tail has: a Pareto density, cut at both ends.

The class of rank r, from 0 for the most frequent of k, has

    n(r) = round(largest * x_r ** -exponent),   x_r in equal steps from 1 to the r = k - 1 where
    x ** exponent = imbalance,                  the largest class to the smallest

and at least one clip. SSv2-LT (arXiv 2304.01143) is the Pareto density of shape alpha = 6, whose
exponent is alpha + 1 = 7, with 2500 clips at most and x up to 2.46: `SSV2_LT` gives its 174 counts,
every one. The paper gives neither; they were found from the counts.

A wish (so many percent of the classes head, so many few-shot) is met by search: a grid of what the
wish leaves open, the nearest point, of equally near ones that with most clips.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from marey.errors import ManifestError, counted
from marey.metrics.groups import profile

Counts = npt.NDArray[np.int64]

NUM_TRIED = 120
"""Values that are tried of each number a wish leaves open."""
NEAR_PERCENT = 3.0
"""How far from the wish the nearest profile may be, in percent of the classes, or one class."""


@dataclass(frozen=True)
class ParetoProfile:
    """Clips of the largest class, the exponent, and the largest class to the smallest."""

    largest: int
    imbalance: float
    exponent: float = 7.0

    def __post_init__(self) -> None:
        if self.largest < 1:
            raise ManifestError(f"the largest class has {self.largest} clips, expected 1 or more")
        if not 1 <= self.imbalance < math.inf:
            raise ManifestError(f"imbalance is {self.imbalance:g}, expected 1 or more")
        if not 0 < self.exponent < math.inf:
            raise ManifestError(f"exponent is {self.exponent:g}, expected more than 0")

    def counts(self, num_classes: int) -> Counts:
        """Clips of every rank, int64 [k], falling.

        >>> ParetoProfile(100, imbalance=20).counts(5)
        array([100,  42,  19,   9,   5])
        """
        return np.maximum(np.round(self.largest * self.shape(num_classes)), 1).astype(np.int64)

    def shape(self, num_classes: int) -> npt.NDArray[np.float64]:
        """Share of the largest class that every rank has, [k]."""
        furthest = self.imbalance ** (1 / self.exponent)
        shape: npt.NDArray[np.float64] = np.linspace(1, furthest, num_classes) ** -self.exponent
        return shape


SSV2_LT = ParetoProfile(2500, 2.46**7, 7.0)


@dataclass(frozen=True)
class Wish:
    """What a long tail is to be like; None leaves it open. Percentages are of the classes."""

    head_percent: float | None = None
    few_percent: float | None = None
    imbalance: float | None = None
    largest: int | None = None
    exponent: float | None = None

    def __post_init__(self) -> None:
        for name in ("head_percent", "few_percent"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 100:
                raise ManifestError(f"{name} is {value:g}, expected 0 to 100")
        numbers = ("largest", "imbalance", "exponent")
        given = {name: getattr(self, name) for name in numbers if getattr(self, name) is not None}
        replace(SSV2_LT, **given)  # which refuses numbers without sense


def nearest_profile(available: Counts, wish: Wish) -> ParetoProfile:
    """The profile of a wish for classes that have so many clips `available`, int64 [k], falling.

    What neither a number nor a percentage decides is as in SSv2-LT: exponent 7 and imbalance 545,
    or as many as there are clips; and the largest class is as large as every rank's clips allow.
    ManifestError where no profile comes near, or the imbalance is beyond the clips there are.
    """

    def distance(tried: ParetoProfile) -> tuple[float, int]:
        return _distance(tried.counts(len(available)), wish)

    nearest = min(_tried(available, wish), key=distance)
    _refuse_far(nearest.counts(len(available)), wish)
    return nearest


def _tried(available: Counts, wish: Wish) -> Iterator[ParetoProfile]:
    """The profiles on the grid: as many numbers are searched for as percentages are wished for."""
    wishes = (wish.head_percent, wish.few_percent)
    left = [name for name in ("imbalance", "largest", "exponent") if getattr(wish, name) is None]
    if wish.few_percent is None and "largest" in left:
        left.remove("largest")  # which decides on few-shot classes alone
    searched = left[: sum(value is not None for value in wishes)]
    most = float(wish.largest or max(available.max(), 2))
    imbalances: Sequence[float] = [wish.imbalance or min(SSV2_LT.imbalance, most)]
    exponents: Sequence[float] = [wish.exponent or SSV2_LT.exponent]
    if "imbalance" in searched:
        imbalances = np.geomspace(1, most, NUM_TRIED).tolist()
    if "exponent" in searched:
        exponents = np.geomspace(0.5, 50, NUM_TRIED).tolist()
    for imbalance, exponent in product(imbalances, exponents):
        largest = wish.largest or largest_that_fits(available, imbalance, exponent)
        sizes: Sequence[int] = [largest]
        if "largest" in searched:
            sizes = np.unique(np.geomspace(1, largest, NUM_TRIED).astype(int)).tolist()
        for size in sizes:
            yield ParetoProfile(size, imbalance, exponent)


def largest_that_fits(available: Counts, imbalance: float, exponent: float) -> int:
    """Clips of the largest class so that every rank has as many `available` as it needs [k]."""
    shape = ParetoProfile(1, imbalance, exponent).shape(len(available))
    largest = max(1, min(int(available[0]), int(((available + 0.5) / shape).min())))
    beyond = ParetoProfile(largest, imbalance, exponent).counts(len(available)) > available
    return max(1, largest - int(beyond.any()))  # a half may be rounded either way


def _distance(counts: Counts, wish: Wish) -> tuple[float, int]:
    got = profile(counts)
    pairs = ((wish.head_percent, got.head_percent), (wish.few_percent, got.few_percent))
    away = sum(abs(wanted - percent) for wanted, percent in pairs if wanted is not None)
    return round(away, 6), -int(counts.sum())


def _refuse_far(counts: Counts, wish: Wish) -> None:
    largest = int(counts.max())
    if wish.imbalance and 2 * largest < wish.imbalance:  # half a clip is rounded to one
        raise ManifestError(
            f"imbalance is {wish.imbalance:g}, but the largest class has "
            f"{counted(largest, 'clip')} and the smallest one at least",
            f"an imbalance up to {largest:g}, or start from more clips",
        )
    got, tolerance = profile(counts), max(NEAR_PERCENT, 100 / len(counts))
    away, _ = _distance(counts, wish)
    if away > tolerance + 1e-6:
        raise ManifestError(
            f"no such long tail was found; the nearest has {got.head_percent:.1f} % head and "
            f"{got.few_percent:.1f} % few-shot classes, {counted(counts.max(), 'clip')} at most "
            f"and imbalance {got.imbalance:.1f}",
            "leave one of the numbers open, or start from more clips",
        )
