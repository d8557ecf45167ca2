"""Sampling: the published numbers, exhaustively, and the laws of the repaired rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.video.sampling.segments import Clips, Dense, Sampling, Segments

lengths = st.integers(1, 2000)
seeds = st.none() | st.integers(0, 2**32)
segments = st.builds(
    Segments,
    num_segments=st.integers(1, 32),
    frames_per_segment=st.integers(1, 6),
    clips=st.sampled_from([1, 2]),
    variant=st.sampled_from(["repaired", "upstream", "upstream-val"]),
)
dense = st.builds(
    Dense,
    num_frames=st.integers(1, 80),
    span=st.integers(1, 80),
    clips=st.integers(1, 12),
    variant=st.sampled_from(["repaired", "upstream"]),
)
clips = st.builds(
    Clips, num_frames=st.integers(1, 64), stride=st.integers(1, 16), clips=st.integers(1, 12)
)


def draw(seed: int | None) -> np.random.Generator | None:
    return None if seed is None else np.random.default_rng(seed)


@pytest.fixture(scope="module")
def golden(goldens_dir: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads((goldens_dir / "gc" / "sampling.json").read_text()))


class Legacy:
    """Upstream's generator, `np.random.seed(seed)`, under the names we call."""

    def __init__(self, seed: int) -> None:
        self.integers = np.random.RandomState(seed).randint


# --- what the published code draws -----------------------------------------------------------

FIXED_STARTS = {
    "tsn_val_L1": (1, 1, "upstream-val"),
    "tsn_val_L5": (5, 1, "upstream-val"),
    "tsn_test_uniform_L1": (1, 1, "upstream"),
    "tsn_test_uniform_L5": (5, 1, "upstream"),
    "tsn_test_twice_L1": (1, 2, "upstream"),
    "tdn_val_L5": (5, 1, "upstream-val"),
    "tdn_test_L5": (5, 1, "upstream-val"),
}


@pytest.mark.parametrize("mode", FIXED_STARTS)
def test_every_published_start_is_reproduced(golden: dict[str, Any], mode: str) -> None:
    length, clips, variant = FIXED_STARTS[mode]
    for t, by_length in golden["modes"][mode].items():
        sampling = Segments(int(t), length, clips, variant)  # type: ignore[arg-type]
        for n, expected in by_length.items():
            starts = sampling.starts(int(n)) + 1  # golden frame numbers are 1-based
            assert starts.ravel().tolist() == expected, (t, n)
            first = sampling.indices(int(n)).reshape(clips, int(t), length)[..., 0]
            np.testing.assert_array_equal(first, (starts - 1).clip(0, int(n) - 1))


def test_every_published_dense_test_clip_is_reproduced(golden: dict[str, Any]) -> None:
    for t, by_length in golden["modes"]["dense_test_L1"].items():
        sampling = Dense(num_frames=int(t), variant="upstream")
        for n, expected in by_length.items():
            assert (sampling.indices(int(n)) + 1).ravel().tolist() == expected, (t, n)


def test_no_stored_mode_is_left_out(golden: dict[str, Any]) -> None:
    assert set(golden["modes"]) == {*FIXED_STARTS, "dense_test_L1"}


def test_every_published_random_draw_is_reproduced(golden: dict[str, Any]) -> None:
    for case in golden["random"]["cases"]:
        t, n, rng = case["T"], case["n"], cast("np.random.Generator", Legacy(case["seed"]))
        if case["mode"] == "train_dense_L1":
            drawn = Dense(t, variant="upstream").indices(n, rng)
        else:
            length = {"train_uniform_L1": 1, "train_uniform_L5": 5, "tdn_train_L5": 5}[case["mode"]]
            drawn = Segments(t, length, variant="upstream").starts(n, rng)
        assert (drawn[0] + 1).tolist() == case["idx"], case


def test_frames_that_tdn_reads_are_reproduced(golden: dict[str, Any]) -> None:
    for case in golden["tdn_frames_read"]:
        sampling = Segments(case["T"], frames_per_segment=5, variant="upstream-val")
        assert (sampling.indices(case["n"])[0] + 1).tolist() == case["frames"], case


@pytest.mark.parametrize("t", [1, 3, 5, 8, 12, 16, 25, 32])
@pytest.mark.parametrize(("length", "variant"), [(1, "upstream"), (5, "upstream-val")])
def test_repaired_test_rule_is_upstreams_wherever_that_has_no_fault(
    t: int, length: int, variant: Literal["upstream", "upstream-val"]
) -> None:
    """So a published model (T = 8, 16) is tested on the very frames it was published with.

    With T = 12 and 25 upstream's float arithmetic falls just below some exact integers.
    """
    for n in range(1 if length == 1 else t + length, 2001):
        ours = Segments(t, length).starts(n)[0]
        theirs = Segments(t, length, variant=variant).starts(n)[0]
        differs = np.flatnonzero(ours != theirs)
        assert not differs.size or t in (12, 25)
        assert ((2 * differs + 1) * (n - length + 1) % (2 * t) == 0).all()  # exactly an integer
        assert (ours - theirs).max() <= 1


def test_repaired_dense_rule_is_upstreams_wherever_that_has_no_fault() -> None:
    for n in range(57, 1001):  # 57 frames are what 8 frames, 8 apart, need
        np.testing.assert_array_equal(Dense().indices(n), Dense(variant="upstream").indices(n))


# --- laws ------------------------------------------------------------------------------------


@given(sampling=st.one_of(segments, dense, clips), n=lengths, seed=seeds)
def test_indices_stay_in_the_video_and_have_the_promised_shape(
    sampling: Sampling, n: int, seed: int | None
) -> None:
    indices = sampling.indices(n, draw(seed))
    assert indices.dtype == np.int64
    assert indices.shape == (sampling.clips if seed is None else 1, sampling.frames)
    assert indices.min() >= 0
    assert indices.max() < n


@given(sampling=st.one_of(segments, dense, clips), n=lengths, seed=seeds)
def test_the_same_seed_gives_the_same_frames(sampling: Sampling, n: int, seed: int | None) -> None:
    np.testing.assert_array_equal(sampling.indices(n, draw(seed)), sampling.indices(n, draw(seed)))


@given(sampling=st.one_of(dense, clips), n=lengths, seed=seeds)
def test_time_never_runs_backwards_in_a_window(
    sampling: Dense | Clips, n: int, seed: int | None
) -> None:
    if isinstance(sampling, Clips) or sampling.variant == "repaired":
        assert (np.diff(sampling.indices(n, draw(seed)), axis=1) >= 0).all()


@given(t=st.integers(1, 64), length=st.integers(1, 6), n=lengths, seed=seeds)
def test_segment_starts_rise_and_repeat_only_in_videos_with_fewer_frames_than_segments(
    t: int, length: int, n: int, seed: int | None
) -> None:
    starts = Segments(t, length, clips=2).starts(n, draw(seed))
    assert (np.diff(starts, axis=1) >= (1 if seed is None and n >= t else 0)).all()
    if n <= t:
        counts = np.stack([np.bincount(row, minlength=n) for row in starts])
        assert counts.max() - counts.min() <= 1


@given(t=st.integers(1, 64), length=st.integers(1, 6), seed=seeds)
def test_a_video_of_t_frames_gives_each_of_them(t: int, length: int, seed: int | None) -> None:
    assert Segments(t, length).starts(t, draw(seed)).tolist() == [list(range(t))]
    assert Clips(t).indices(t, draw(seed)).tolist() == [list(range(t))]
    assert Dense(t, clips=1).indices(t, draw(seed)).tolist() == [list(range(t))]


@given(t=st.integers(1, 32), n=st.integers(1, 32), seed=seeds)
def test_short_videos_repeat_evenly_in_every_sampler(t: int, n: int, seed: int | None) -> None:
    for sampling in (Segments(t), Dense(t, clips=1), Clips(t)):
        counts = np.bincount(sampling.indices(n, draw(seed))[0], minlength=n)
        if n <= t:
            assert counts.max() - counts.min() <= 1, sampling


@given(t=st.integers(1, 16), n=st.integers(1, 100), seed=st.integers(0, 2**32))
def test_a_training_draw_stays_in_its_own_segment(t: int, n: int, seed: int) -> None:
    starts = Segments(t).starts(n, draw(seed))[0]
    i = np.arange(t)
    assert (starts >= i * n // t).all()
    assert (starts < np.maximum(-(-(i + 1) * n // t), 1)).all()  # ceil


# --- the faults that are repaired, one by one ------------------------------------------------


def test_training_can_draw_every_frame() -> None:
    drawn = {int(i) for s in range(300) for i in Segments(8).indices(15, draw(s))[0]}
    assert drawn == set(range(15))


def test_tdn_does_not_collapse_short_videos() -> None:
    tdn = Segments(16, frames_per_segment=5)
    upstream = Segments(16, frames_per_segment=5, variant="upstream-val")
    assert set(upstream.indices(20)[0].tolist()) == {0, 1, 2, 3, 4}
    assert set(tdn.indices(20)[0].tolist()) == set(range(20))


def test_reads_past_the_end_repeat_the_last_frame() -> None:
    assert Segments(2, frames_per_segment=4).indices(3).tolist() == [[0, 1, 2, 2, 1, 2, 2, 2]]


def test_dense_validation_is_the_middle_window() -> None:
    assert Dense(4, span=8, clips=1).indices(20).tolist() == [[6, 8, 10, 12]]


def test_the_last_dense_start_can_be_drawn() -> None:
    sampling, upstream = Dense(4, span=8), Dense(4, span=8, variant="upstream")
    assert {int(sampling.indices(10, draw(s))[0, 0]) for s in range(100)} == {0, 1, 2}
    assert {int(upstream.indices(10, draw(s))[0, 0]) for s in range(100)} == {0, 1}


def test_more_frames_than_the_span_does_not_give_stride_zero() -> None:
    assert Dense(8, span=4, clips=1, variant="upstream").indices(10).tolist() == [[0] * 8]
    assert Dense(8, span=4, clips=1).indices(10).tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]


def test_a_short_dense_clip_is_spread_and_not_wrapped_around() -> None:
    assert Dense(4, span=8, clips=1, variant="upstream").indices(5).tolist() == [[0, 2, 4, 1]]
    assert Dense(4, span=8, clips=1).indices(5).tolist() == [[0, 1, 2, 3]]


def test_many_clips_reach_from_the_first_frame_to_the_last() -> None:
    indices = Clips(num_frames=4, stride=3, clips=10).indices(100)
    assert (indices[0, 0], indices[-1, -1]) == (0, 99)


# --- wrong arguments -------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", [Segments(), Dense(), Dense(variant="upstream"), Clips()])
@pytest.mark.parametrize("n", [0, -3])
def test_a_video_without_frames_is_refused(sampling: Sampling, n: int) -> None:
    with pytest.raises(ValueError, match=f"num_frames is {n}, expected at least 1"):
        sampling.indices(n)


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="num_segments is 0"):
        Segments(num_segments=0)
    with pytest.raises(ValueError, match="span is -1"):
        Dense(span=-1)
    with pytest.raises(ValueError, match="stride is 0"):
        Clips(stride=0)


def test_segments_have_one_clip_or_two() -> None:
    with pytest.raises(ValueError, match=r"clips is 3.*hint: Dense and Clips"):
        Segments(clips=3)  # type: ignore[arg-type]
