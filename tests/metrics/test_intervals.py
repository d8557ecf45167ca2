"""Intervals: published values, laws, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from marey.metrics.intervals import (
    difference_interval,
    mcnemar,
    mean_difference_interval,
    mean_share_interval,
    share_interval,
)


@given(st.integers(0, 60), st.integers(1, 60))
def test_a_share_has_the_interval_of_wilson(right: int, n: int) -> None:
    right = min(right, n)
    wanted = stats.binomtest(right, n).proportion_ci(method="wilson")
    found = share_interval(100 * right / n, n)
    assert found == pytest.approx((100 * wanted.low, 100 * wanted.high), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 6, 30])
def test_no_number_of_clips_leaves_an_interval_without_width(n: int) -> None:
    for value in (0.0, 100.0):
        low, high = share_interval(value, n)
        assert high - low > 5
        assert value in (low, high)
        sizes = np.full(3, n)
        low, high = mean_share_interval(np.full(3, value), sizes)
        assert high - low > 3
    for points in (-100.0, 0.0, 100.0):
        low, high = difference_interval(points, 0.0, n)
        assert low <= points <= high
        assert high - low > 5


def test_a_balanced_set_of_classes_that_do_equally_well_has_the_interval_of_its_clips() -> None:
    found = mean_share_interval(np.full(4, 75.0), np.full(4, 8))
    assert found == pytest.approx(share_interval(75, 32))


def test_a_difference_has_the_interval_of_bonett_and_price() -> None:
    """Of 120 clips 14 are right by the first alone and 5 by the second (their equation 3)."""
    n, first, second = 120, 14, 5
    p12, p21 = (second + 1) / (n + 2), (first + 1) / (n + 2)
    half = 1.959964 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2))
    wanted = [100 * (p12 - p21 - half), 100 * (p12 - p21 + half)]
    points = 100 * (second - first) / n
    squares = 1e4 * (first + second) / n
    assert difference_interval(points, (squares - points**2) / n, n) == pytest.approx(wanted)


def test_nothing_tested_has_no_interval() -> None:
    none = np.zeros(0)
    for found in (
        share_interval(math.nan, 0),
        mean_share_interval(none, none),
        difference_interval(math.nan, 0, 0),
        mean_difference_interval(none, none, none),
    ):
        assert np.isnan(found).all()


@pytest.mark.parametrize(("k", "n"), [(2, 3), (6, 10), (40, 3)])
def test_intervals_of_means_over_classes_hold_the_truth(k: int, n: int) -> None:
    rng = np.random.default_rng(0)
    held = {"mean": 0, "difference": 0}
    for _ in range(400):
        p = rng.beta(8, 2, k)
        low, high = mean_share_interval(100 * rng.binomial(n, p) / n, np.full(k, n))
        held["mean"] += low <= 100 * p.mean() <= high
        up, down = rng.beta(1, 3, k) / 2, rng.beta(1, 3, k) / 2
        u = rng.random((n, k))
        d = np.where(u < up, 100.0, np.where(u < up + down, -100.0, 0.0))
        between = mean_difference_interval(d.mean(axis=0), (d**2).mean(axis=0), np.full(k, n))
        held["difference"] += between.low <= 100 * (up - down).mean() <= between.high
    assert min(held.values()) >= 0.92 * 400


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_mid_p_of_a_sign_test(a: int, b: int) -> None:
    exact = stats.binomtest(min(a, b), a + b).pvalue if a + b else 1.0
    ties = stats.binom.pmf(min(a, b), a + b, 0.5) if a != b else 0.0
    assert mcnemar(a, b) == pytest.approx(exact - ties)
    assert mcnemar(a, b) == mcnemar(b, a)
