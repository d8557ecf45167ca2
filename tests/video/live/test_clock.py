from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marey.video.live.clock import AHEAD_SECONDS, JITTER_SECONDS, Clock, Pace, Thinner


@given(st.lists(st.floats(0, 100), min_size=1))
def test_time_falls_at_jumps_alone(seconds: list[float]) -> None:
    said: list[str] = []
    clock = Clock(said.append)
    times = [clock(each) for each in seconds]
    falls = np.diff(times) < 0
    assert clock.num_jumps == falls.sum() == sum("back" in text for text in said)
    assert all(-step > JITTER_SECONDS for step in np.diff(times)[falls])


def test_a_step_back_of_a_moment_stands_still() -> None:
    said: list[str] = []
    clock = Clock(said.append)
    assert [clock(each) for each in (5.0, 4.9, 5.1, 0.0)] == [5.0, 5.0, 5.1, 0.0]
    assert said == ["time jumps back by 5 s: the stream begins anew"]


def test_frames_of_a_file_are_waited_for_and_jumps_are_not() -> None:
    now, pauses = [100.0], []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(round(timeout or 0, 6))
            now[0] += timeout or 0
            return False

    pace = Pace(Stop(), lambda: now[0])
    for seconds in (0.0, 0.1, 0.2):
        pace.wait_until(seconds)
    assert pauses == [0.1, 0.1]
    now[0] += 0.25  # whoever reads was slow, and catches up
    pace.wait_until(0.3)
    pace.wait_until(0.5)
    assert pauses == [0.1, 0.1, 0.05]
    for seconds in (0.5 + 2 * AHEAD_SECONDS, 3.0, 3.1):
        pace.wait_until(seconds)
    assert pauses == [0.1, 0.1, 0.05, 0.1]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 200))
def test_no_more_frames_are_kept_than_are_wanted(has: int, wants: int, number: int) -> None:
    thinner = Thinner(wants)
    kept = [i / has for i in range(number) if thinner.keeps(i / has)]
    if wants >= has:
        assert len(kept) == number
    else:
        seconds = (number - 1) / has
        assert abs(len(kept) - (seconds * wants + 1)) <= 1 + seconds * wants * 0.02


def test_a_thinner_goes_on_from_where_time_jumps_to() -> None:
    thinner = Thinner(1.0)
    assert [thinner.keeps(t) for t in (0, 0.5, 1, 50, 50.5, 51, 3, 3.5, 4)] == [
        *(True, False, True),
        *(True, False, True),
        *(True, False, True),
    ]


def test_without_a_rate_all_frames_are_kept() -> None:
    thinner = Thinner(None)
    assert all(thinner.keeps(t) for t in (0.0, 0.001, 0.001, 7.0, 2.0))
