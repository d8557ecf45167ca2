"""Ways take turns, as many rounds as asked, and medians count."""

from __future__ import annotations

import pytest
import torch

from benchmarks.paired import Timing, relative_error, side_by_side


def test_ways_take_turns_and_each_is_first_in_turn() -> None:
    called: list[str] = []
    ways = {name: lambda name=name: called.append(name) for name in "abc"}
    timings = side_by_side(ways, rounds=3)
    assert "".join(called) == "abc" + "abc" + "bca" + "cab"
    assert all(len(timing.cpu) == len(timing.wall) == 3 for timing in timings.values())


def test_rounds_are_added_until_the_time_is_over() -> None:
    assert len(side_by_side({"a": lambda: None}, rounds=2, seconds=0.01)["a"].cpu) > 2


def test_without_time_there_are_two_ways_and_a_round() -> None:
    timings = side_by_side({name: lambda: None for name in "abc"}, rounds=5, within=0)
    assert {name: len(timing.cpu) for name, timing in timings.items()} == {"a": 1, "b": 1}


def test_with_time_enough_there_are_all_ways_and_rounds() -> None:
    timings = side_by_side({name: lambda: None for name in "abc"}, rounds=5, within=60)
    assert {name: len(timing.cpu) for name, timing in timings.items()} == dict.fromkeys("abc", 5)


def test_the_output_of_the_last_call_before_the_rounds_is_kept() -> None:
    counts = iter(range(100))
    assert side_by_side({"a": lambda: next(counts)}, rounds=1, warm_up=3)["a"].output == 2


def test_medians_are_of_the_rounds_and_a_gpu_is_judged_by_the_wall() -> None:
    timing = Timing(wall=(5.0, 1.0, 9.0), cpu=(3.0, 2.0, 100.0), output=None)
    assert (timing.wall_seconds, timing.cpu_seconds) == (5.0, 3.0)
    assert (timing.seconds("cpu"), timing.seconds("cuda:0")) == (3.0, 5.0)


def test_nothing_to_time_is_refused() -> None:
    with pytest.raises(ValueError, match="0 ways, 7 rounds"):
        side_by_side({})


def test_errors_are_shares_of_the_largest_number() -> None:
    theirs = torch.tensor([[-4.0, 1.0]])
    assert relative_error(theirs + 1, theirs) == 0.25
    assert relative_error(torch.zeros(2), torch.zeros(2)) == 0
