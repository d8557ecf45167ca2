"""The interval of a mean of few numbers, such as those of several trainings: Student's t.

P(|T| < t) with n degrees of freedom is a finite sum in cos and sin of theta = atan(t / sqrt(n))
(Abramowitz and Stegun 26.7.3 and 26.7.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from marey.metrics.intervals import NOTHING, Interval


def mean_interval(values: Sequence[float]) -> Interval:
    """Where the mean of what `values` are drawn from lies, with 95 % confidence.

    NaN of one value, and of values that are all the same: they do not say how they would differ.

    It takes them for independent, which numbers of folds, whose training clips are mostly the same,
    are only nearly.

    >>> [round(end, 2) for end in mean_interval([50.0, 60.0, 70.0])]
    [35.16, 84.84]
    """
    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)) or max(values) == min(values):
        return NOTHING
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = quantile(n - 1) * deviation / math.sqrt(n)
    return Interval(mean - half, mean + half)


def quantile(degrees: int) -> float:
    """The t that |T| stays below with 95 %.

    >>> round(quantile(1), 3), round(quantile(4), 3)
    (12.706, 2.776)
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _inside(middle, degrees) < 0.95 else (low, middle)
    return math.tan(low) * math.sqrt(degrees)


def _inside(theta: float, degrees: int) -> float:
    """P(|T| < sqrt(degrees) tan(theta))."""
    cos, is_odd = math.cos(theta), degrees % 2
    term = total = cos if is_odd else 1.0
    for k in range(3 if is_odd else 2, degrees - 1, 2):
        term *= cos * cos * (k - 1) / k
        total += term
    if not is_odd:
        return math.sin(theta) * total
    return 2 / math.pi * (theta + (math.sin(theta) * total if degrees > 1 else 0.0))
