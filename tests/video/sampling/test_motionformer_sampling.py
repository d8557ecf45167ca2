"""The laws of Motionformer's sampling; the published numbers are in tests/parity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.recipes.recipe import Views
from marey.recipes.schema import from_yaml, to_yaml
from marey.video.sampling.motionformer import RoundedSegments, TimedClips
from marey.video.sampling.segments import Clips, Segments, at_rate

lengths = st.integers(1, 2000)
seeds = st.none() | st.integers(0, 2**32)
rates = st.floats(5, 240)
timed = st.builds(
    TimedClips,
    num_frames=st.integers(1, 40),
    stride=st.floats(0.1, 12),
    clips=st.integers(1, 10),
    variant=st.sampled_from(["repaired", "upstream", "upstream-epic"]),
)
sampling = timed | st.builds(RoundedSegments, st.integers(1, 40))


@given(spec=sampling, n=lengths, seed=seeds)
def test_frames_are_in_the_video_and_in_order(
    spec: TimedClips | RoundedSegments, n: int, seed: int | None
) -> None:
    frames = spec.indices(n, None if seed is None else np.random.default_rng(seed))
    assert frames.shape == (spec.clips if seed is None else 1, spec.frames)
    assert frames.dtype == np.int64
    assert 0 <= frames.min() <= frames.max() < n
    assert (np.diff(frames) >= 0).all()


@given(spec=timed, fps=rates)
def test_a_clip_lasts_equally_long_at_any_rate(spec: TimedClips, fps: float) -> None:
    other = spec.at(fps)
    assert other.span / fps == pytest.approx(spec.span / spec.fps)
    assert other.at(spec.fps).stride == pytest.approx(spec.stride)


@given(spec=timed, n=st.integers(60, 2000))
def test_repaired_clips_reach_from_the_first_frame_to_the_last(spec: TimedClips, n: int) -> None:
    spec = replace(spec, variant="repaired", clips=max(spec.clips, 2))
    starts = spec.starts(n)
    assert starts[0] == 0
    assert starts[-1] == pytest.approx(max(n - spec.span, 0))
    if spec.num_frames > 1 and spec.span >= 1:
        assert spec.indices(n)[-1, -1] in (n - 2, n - 1)  # n - 1, but for the last bit of a float


def test_upstreams_last_clip_ends_a_tenth_before_the_video_does() -> None:
    assert TimedClips(16, 8, variant="upstream").indices(1128)[-1, -1] == 1027
    assert TimedClips(16, 8).indices(1128)[-1, -1] == 1127


def test_a_short_video_keeps_its_speed_and_repeats_its_last_frame() -> None:
    assert TimedClips(5, 2, clips=1).indices(6).tolist() == [[0, 2, 4, 5, 5]]
    assert Clips(5, 2).indices(6).tolist() == [[0, 1, 2, 3, 4]]


def test_segments_show_all_frames_of_a_video_of_as_many_and_the_rounded_ones_do_not() -> None:
    assert Segments(16).indices(16).tolist() == [list(range(16))]
    assert len(set(RoundedSegments(16).indices(16)[0].tolist())) == 15


def test_training_draws_both_borders_of_a_segment() -> None:
    rng = np.random.default_rng(0)
    drawn = np.concatenate([RoundedSegments(4).indices(9, rng) for _ in range(200)])
    assert [sorted(set(column)) for column in drawn.T.tolist()] == [
        [0, 1, 2],
        [2, 3, 4],
        [4, 5, 6],
        [6, 7, 8],
    ]


def test_only_samplings_in_seconds_ask_for_the_rate() -> None:
    assert at_rate(Clips(16, 4), 60.0) == Clips(16, 4)
    assert at_rate(TimedClips(16, 4), 60.0) == TimedClips(16, 8, fps=60.0)
    assert at_rate(TimedClips(16, 4), None) == TimedClips(16, 4)


@pytest.mark.parametrize("spec", [RoundedSegments(8), TimedClips(8, 2.5, 50, 3, "upstream")])
def test_specs_survive_yaml(spec: TimedClips | RoundedSegments) -> None:
    views = Views(spec)
    assert from_yaml(Views, to_yaml(views)) == views


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_frames": 0}, "num_frames is 0, expected at least 1"),
        ({"clips": 0}, "clips is 0, expected at least 1"),
        ({"stride": 0.0}, "stride is 0.0, expected more than 0"),
        ({"fps": float("inf")}, "fps is inf, expected more than 0"),
    ],
)
def test_impossible_clips_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimedClips(**wrong)  # type: ignore[arg-type]


def test_no_frames_and_no_segments_are_refused() -> None:
    for spec in (TimedClips(), RoundedSegments()):
        with pytest.raises(ValueError, match="num_frames is 0, expected at least 1"):
            spec.indices(0)
    with pytest.raises(ValueError, match="num_segments is 0, expected at least 1"):
        RoundedSegments(0)
