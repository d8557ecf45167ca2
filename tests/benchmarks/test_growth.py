from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import growth


def test_the_exponent_is_that_of_a_power_law() -> None:
    assert growth.exponent({8: 3 * 8**1.5, 16: 3 * 16**1.5, 64: 3 * 64**1.5}) == pytest.approx(1.5)


def test_a_classifier_takes_memory_as_its_classes(tmp_path: Path) -> None:
    words = f"--axes classes --rounds 1 --json {tmp_path / 'g.json'} --plots {tmp_path}"
    growth.main(words.split())
    *points, whole = json.loads((tmp_path / "g.json").read_text())["rows"]
    assert [point["mode"] for point in points] == [
        f"classes {count}" for count in (10, 100, 1000, 10_000)
    ]
    assert points[0]["growth"] == 1
    assert whole["memory_exponent"] == pytest.approx(1, abs=0.01)
    assert (tmp_path / "classes.svg").read_text().startswith("<svg")


def test_every_axis_grows_and_says_how_fast_it_may() -> None:
    assert set(growth.AXES) == {"frames", "batch", "size", "classes", "bank", "clips"}
    assert [axis.exponent for axis in growth.AXES.values()] == [1, 1, 2, 1, 1, 1]


def test_values_that_there_is_no_time_for_are_left_out_by_name() -> None:
    axis = growth.AXES["classes"]
    rows, left_out = growth.measure("classes", axis, rounds=3, within=0)
    assert [row.mode for row in rows] == ["classes 10", "classes 100", "classes, all"]
    assert [row.rounds for row in rows] == [1, 1, 1]
    assert list(left_out) == [f"{axis.title}, classes {count}" for count in (1000, 10_000)]
