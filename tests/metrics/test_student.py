"""Intervals of means of few numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from marey.metrics.student import mean_interval, quantile


def test_quantiles_and_intervals_are_scipys() -> None:
    for degrees in (1, 2, 3, 4, 5, 8, 9, 30, 99):
        assert quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)
    values = [71.0, 64.5, 80.0, 77.5]
    theirs = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx(theirs)


def test_one_value_equal_ones_and_what_is_no_number_have_no_interval() -> None:
    for values in ([], [50.0], [50.0, math.nan], [100.0, 100.0, 100.0]):
        assert all(map(math.isnan, mean_interval(values)))
