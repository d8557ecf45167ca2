"""Which clock a timeline follows, and when packets are believed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from marey.video.reading.timeline import timeline_of_frames, timeline_of_packets

TENTH = Fraction(1, 10)


def test_rising_times_are_the_clock_and_make_key_frames_reachable() -> None:
    line = timeline_of_frames([30, 35, 36], [0, 1, 2], [30, 36], unit=TENTH, fps=25)
    assert np.allclose(line.seconds, [0.0, 0.5, 0.6])
    assert line.keys.tolist() == [0, 2]
    assert [line.key_before(i) for i in range(3)] == [0, 0, 1]


def test_equal_times_are_a_clock_but_no_place_to_jump_to() -> None:
    line = timeline_of_frames([1, 1, 2], [0, 1, 2], [1], unit=TENTH, fps=25)
    assert line.seconds.tolist() == [0.0, 0.0, 0.1]
    assert len(line.keys) == len(line.stamps) == 0
    assert line.key_before(2) == -1


def test_falling_times_give_way_to_decoding_times() -> None:
    line = timeline_of_frames([1, 4, 3], [7, 8, 9], [1], unit=TENTH, fps=25)
    assert np.allclose(line.seconds, [0.0, 0.1, 0.2])
    assert len(line.keys) == 0


def test_without_any_clock_frames_are_evenly_spaced() -> None:
    broken = [[1, 4, 3], [None, 1, 2]]
    line = timeline_of_frames(*broken, [1], unit=TENTH, fps=50)
    assert np.allclose(line.seconds, [0.0, 0.02, 0.04])
    assert np.allclose(
        timeline_of_frames(*broken, [1], unit=TENTH, fps=None).seconds, [0.0, 0.04, 0.08]
    )


def test_key_packets_that_became_no_frame_are_left_out() -> None:
    line = timeline_of_frames([10, 11, 12], [0, 1, 2], [8, 11, 13], unit=TENTH, fps=25)
    assert line.keys.tolist() == [1]


def test_packets_are_sorted_into_the_order_shown() -> None:
    line = timeline_of_packets([0, 3, 1, 2], [0], unit=TENTH, num_frames=4)
    assert line is not None
    assert np.allclose(line.seconds, [0.0, 0.1, 0.2, 0.3])


def test_packets_are_believed_only_if_each_is_one_frame() -> None:
    assert timeline_of_packets([0, 1, 2], [0], unit=TENTH, num_frames=2) is None
    assert timeline_of_packets([0, 1, None], [0], unit=TENTH, num_frames=3) is None
    assert timeline_of_packets([0, 1, 1], [0], unit=TENTH, num_frames=3) is None
