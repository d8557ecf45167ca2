from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.data.manifest.time_names import Times, looks_like_time, time_name, times_among

PAIRS = {
    ("start_time", "end_time"): "seconds",
    ("t_start", "t_end"): "seconds",
    ("time_start", "time_end"): "seconds",
    ("start_timestamp", "stop_timestamp"): "seconds",
    ("start_sec", "end_sec"): "seconds",
    ("start_seconds", "end_seconds"): "seconds",
    ("begin_time", "end_time"): "seconds",
    ("Start (s)", "Stop (s)"): "seconds",
    ("start", "end"): "seconds",
    ("start", "stop"): "seconds",
    ("startTime", "endTime"): "seconds",
    ("clip_start_time", "clip_end_time"): "seconds",
    ("t_min", "t_max"): "seconds",
    ("startFrame", "endFrame"): "frames",
    ("start_frame", "stop_frame"): "frames",
    ("frame_start", "frame_end"): "frames",
    ("first_frame", "last_frame"): "frames",
    ("start_frame_idx", "end_frame_idx"): "frames",
    ("start_ms", "end_ms"): "ms",
    ("begin_msec", "end_msec"): "ms",
    ("begin", "end"): "",
    ("Beginn", "Ende"): "",
    ("von", "bis"): "",
    ("début", "fin"): "",
    ("onset", "offset"): "",
    ("from", "to"): "",
    ("clip_start", "clip_end"): "",
}


@pytest.mark.parametrize(("names", "unit"), PAIRS.items())
def test_a_start_and_its_end_are_found_by_their_names(names, unit):
    expected = Times(*names, unit=unit)
    assert times_among(["video", *names, "label"]) == [expected]
    assert times_among([*reversed(names), "video"]) == [expected]
    assert set(expected.roles.values()) == set(names)


@given(st.sampled_from([*PAIRS]), st.sampled_from([str.upper, str.title, str.lower]))
def test_letter_case_does_not_count(names, changed):
    assert [t.unit for t in times_among([*map(changed, names)])] == [PAIRS[names]]


def test_a_start_may_stand_beside_a_duration():
    assert times_among(["start", "duration"]) == [Times("start", duration="duration")]
    assert times_among(["start_ms", "length_ms"]) == [
        Times("start_ms", duration="length_ms", unit="ms")
    ]
    (times,) = times_among(["start", "end", "duration"])
    assert times.columns == ("start", "end")


def test_of_several_pairs_seconds_come_first_and_units_are_not_mixed():
    names = ["start_frame", "stop_frame", "start_timestamp", "stop_timestamp"]
    assert [times.unit for times in times_among(names)] == ["seconds", "frames"]
    assert times_among(["start_frame", "end_time"]) == []


@pytest.mark.parametrize(
    "name", ["path", "label", "first_name", "state", "position", "content", "tone", "fps", "note"]
)
def test_other_names_are_no_times(name):
    assert time_name(name) is None
    assert not looks_like_time(name)


def test_what_looks_like_a_time_without_being_a_pair():
    assert all(map(looks_like_time, ["start_time", "offset", "timestamp", "interval"]))
    assert not any(map(looks_like_time, ["duration", "to", "in", "last"]))
