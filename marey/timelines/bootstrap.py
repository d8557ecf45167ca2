"""Intervals of numbers that are no mean over videos: videos are drawn again, with replacement.

The percentile bootstrap (Efron 1979, doi:10.1214/aos/1176344552): 1,000 sets of as many videos are
drawn from those that were tested, and the middle 95 % of what they give is the interval. Videos are
drawn and not segments, as segments of one video are alike. It speaks of the videos, not of another
training, and is too narrow where there are few of them; of a single video there is none.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from marey.metrics.intervals import NOTHING, Estimate, Interval

Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
SEED = 0
PERCENTILES = (2.5, 97.5)


def drawn_videos(num_videos: int, *, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """How often each video is in each set, float64 [resamples num_videos]; rows sum to the number.

    >>> drawn_videos(3, resamples=2).sum(axis=1)
    array([3., 3.])
    """
    if not num_videos:
        return np.zeros((resamples, 0))
    rng = np.random.default_rng(seed)
    chances = np.full(num_videos, 1 / num_videos)
    return rng.multinomial(num_videos, chances, size=resamples).astype(np.float64)


def percentile_interval(values: Floats, num_videos: int) -> Interval:
    """Where the middle 95 % of the values [resamples] lie; NaN of fewer than two videos.

    Sets without anything to measure are NaN, and left out.
    """
    if num_videos < 2 or np.isnan(values).all():
        return NOTHING
    return Interval(*(float(end) for end in np.nanpercentile(values, PERCENTILES)))


def estimate(value: float, drawn: Floats, *, num_classes: int, num_videos: int) -> Estimate:
    """The value with the interval of what was drawn."""
    interval = percentile_interval(drawn, num_videos)
    return Estimate(value, *interval, num_classes=num_classes, num_clips=num_videos)


def mean_of_known(values: Floats, axis: int) -> Floats:
    """The mean over an axis of what is not NaN; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing but NaN
        return np.asarray(np.nanmean(values, axis=axis))
