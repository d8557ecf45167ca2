"""The range test: rates grow until the loss leaves all bounds, and nothing of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.engine.experiments.lr_range import RateRange, range_test
from tests.tiny import tiny_recipe, write_set


def test_it_ends_where_the_loss_leaves_all_bounds(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_set(tmp_path, per_class=2, val_per_class=1), batch_size=8)
    found = range_test(recipe, low=1e-3, high=1e9, steps=13)
    assert found.rates[:3] == pytest.approx([1e-3, 1e-2, 1e-1])
    assert 3 < len(found.rates) < 13
    assert 1e-3 <= found.suggested * 10 == found.best < found.rates[-1]


def test_a_tenth_of_the_rate_of_the_lowest_loss_is_suggested() -> None:
    found = RateRange((0.01, 0.1, 1.0), (1.4, 0.9, 2.0))
    assert (found.best, found.suggested) == (0.1, pytest.approx(0.01))
