"""SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).

The n-th number is a mix of ``start + n * GAMMA``, so any of them is had without the ones before,
and no two of the 2^64 are equal. The mix alone is a hash of 64-bit words.
"""

from __future__ import annotations

import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""The odd number by which the state steps: 2^64 divided by the golden ratio."""


def mix(words: np.ndarray) -> np.ndarray:
    """Each word uint64 as another one, every bit of which depends on all bits of the first."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = words ^ (words >> np.uint64(31))
    return mixed


def numbers(start: np.uint64 | np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The numbers uint64 at `positions` (int64 >= 0, any shape) of the stream that `start` begins.

    >>> [hex(number) for number in numbers(np.uint64(0), np.arange(2)).tolist()]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    return mix(start + (positions.astype(np.uint64) + np.uint64(1)) * GAMMA)
