"""bLVNet's sampling: the published numbers, exhaustively, and the laws of the repaired rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.segments import Clips, Dense, Segments

lengths = st.integers(1, 2000)
seeds = st.none() | st.integers(0, 2**32)
uniform = st.builds(
    Uniform,
    num_segments=st.integers(1, 64),
    frames_per_segment=st.integers(1, 6),
    clips=st.integers(1, 12),
    variant=st.sampled_from(["repaired", "upstream"]),
)


class Legacy:
    """Upstream's generator, `np.random.seed(seed)`, under the names we call."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed)

    def integers(self, low: int, high: int | None = None, size: int | None = None) -> object:
        if high is None and size is None:  # theirs is a draw of one number without replacement
            return self.state.permutation(low)[0]
        return self.state.randint(low, high, size)


def legacy(seed: int) -> np.random.Generator:
    return cast("np.random.Generator", Legacy(seed))


def draw(seed: int | None) -> np.random.Generator | None:
    return None if seed is None else np.random.default_rng(seed)


@pytest.fixture(scope="module")
def golden(goldens_dir: Path) -> dict[str, Any]:
    text = (goldens_dir / "blvnet" / "sampling.json").read_text()
    return cast("dict[str, Any]", json.loads(text))


# --- what the published code draws; its frame numbers are 1-based ------------------------------


def sampling_of(case: dict[str, Any], length: int = 1) -> Uniform | Dense:
    """The sampling that a stored case describes."""
    clips = case.get("num_clips", 1)
    if "stride" not in case:
        return Uniform(case["groups"], length, clips, "upstream")
    t = case["num_frames_sampled"]
    return Dense(t, span=t * case["stride"], clips=clips, variant="upstream")


@pytest.mark.parametrize("mode", ["val_uniform_fixed", "val_dense_fixed"])
def test_every_published_test_clip_is_reproduced(golden: dict[str, Any], mode: str) -> None:
    for case in golden[mode]:
        for n, expected in case["rows"]:
            assert (sampling_of(case).indices(n) + 1).ravel().tolist() == expected, (case, n)


def test_every_published_training_clip_is_reproduced(golden: dict[str, Any]) -> None:
    for case in golden["train"]:
        for n, expected in case["rows"]:
            drawn = sampling_of(case).indices(n, legacy(seed=n))
            assert (drawn + 1).ravel().tolist() == expected, (case, n)


def test_a_random_test_is_training_clips_but_for_short_videos(golden: dict[str, Any]) -> None:
    for case in golden["val_uniform_random_sampling"]:
        sampling = sampling_of(case)
        for n, expected in case["rows"]:
            rng = legacy(seed=n)
            drawn = [sampling.indices(n, rng) for _ in range(sampling.clips)]
            views = np.concatenate(drawn) if n >= sampling.frames else sampling.indices(n)
            assert (views + 1).ravel().tolist() == expected, (case, n)


def test_every_published_start_of_a_stack_of_flow_is_reproduced(golden: dict[str, Any]) -> None:
    for case in golden["val_uniform_flow"]:
        sampling = sampling_of(case, length=5)
        assert isinstance(sampling, Uniform)
        for n, expected in case["rows"]:
            starts = sampling.starts(n)
            assert (starts + 1).ravel().tolist() == expected, (case, n)
            first = sampling.indices(n).reshape(-1, sampling.num_segments, 5)[..., 0]
            np.testing.assert_array_equal(first, starts)


def test_the_files_opened_are_upstreams_but_for_its_clamp(golden: dict[str, Any]) -> None:
    """It stops at the *number* of frames, which is their last only if the first is number 1."""
    for case in golden["opened_files_groups16_val"]:
        start, end = case["start_frame"], case["end_frame"]
        n = end - start + 1
        numbers = Uniform(16, variant="upstream").indices(n)[0] + start
        assert np.minimum(numbers, n).tolist() == case["opened_by_reference"]
        assert start <= numbers.min() <= numbers.max() <= end  # ours needs no clamp


def test_no_stored_mode_is_left_out(golden: dict[str, Any]) -> None:
    assert {name for name, value in golden.items() if isinstance(value, list)} == {
        *("val_uniform_fixed", "val_dense_fixed", "train", "val_uniform_random_sampling"),
        *("val_uniform_flow", "opened_files_groups16_val"),
    }


@given(t=st.integers(1, 64), n=st.integers(2, 2000))
def test_repaired_and_upstream_test_rules_are_one_unless_the_video_is_short(t: int, n: int) -> None:
    if n > t:
        repaired, upstream, tsn = Uniform(t), Uniform(t, variant="upstream"), Segments(t)
        np.testing.assert_array_equal(repaired.indices(n), tsn.indices(n))
        np.testing.assert_allclose(repaired.indices(n), upstream.indices(n), atol=1)  # rounding


@given(t=st.integers(1, 64), stride=st.integers(1, 8), clips=st.integers(2, 10), n=lengths)
def test_dense_test_windows_are_upstreams_where_the_video_is_long_enough(
    t: int, stride: int, clips: int, n: int
) -> None:
    ours, upstream = (
        Dense(t, span=t * stride, clips=clips, variant=variant)
        for variant in ("repaired", "upstream")
    )
    if n >= t * stride:
        np.testing.assert_array_equal(ours.indices(n), upstream.indices(n))


# --- laws ------------------------------------------------------------------------------------


@given(sampling=uniform, n=lengths, seed=seeds)
def test_indices_are_frames_of_the_video(sampling: Uniform, n: int, seed: int | None) -> None:
    indices = sampling.indices(n, draw(seed))
    views = sampling.clips if seed is None else 1
    assert indices.shape == (views, sampling.frames)
    assert indices.dtype == np.int64
    assert indices.min() >= 0
    assert indices.max() < n


@given(sampling=uniform, n=lengths, seed=seeds)
def test_starts_never_go_back(sampling: Uniform, n: int, seed: int | None) -> None:
    assert (np.diff(sampling.starts(n, draw(seed)), axis=1) >= 0).all()


@given(sampling=uniform, n=lengths, seed=st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_clip(sampling: Uniform, n: int, seed: int) -> None:
    np.testing.assert_array_equal(sampling.indices(n, draw(seed)), sampling.indices(n, draw(seed)))
    np.testing.assert_array_equal(sampling.indices(n), sampling.indices(n))


@example(t=6, n=396, seed=None)  # in floats, steps of 65 to 67
@given(t=st.integers(1, 64), n=lengths, seed=seeds)
def test_frames_of_a_clip_are_equally_far_apart(t: int, n: int, seed: int | None) -> None:
    steps = np.diff(Uniform(t, clips=3).starts(n, draw(seed)), axis=1)
    assert steps.size == 0 or steps.max() - steps.min() <= 1


@given(t=st.integers(1, 64), n=st.integers(1, 64), clips=st.integers(1, 5), seed=seeds)
def test_short_videos_repeat_evenly(t: int, n: int, clips: int, seed: int | None) -> None:
    if n <= t:
        for starts in Uniform(t, clips=clips).starts(n, draw(seed)):
            counts = np.bincount(starts, minlength=n)
            assert counts.max() - counts.min() <= 1


def test_testing_leaves_numpys_global_generator_alone() -> None:
    before = np.random.get_state()
    Uniform(16, clips=3, variant="upstream").indices(8)
    np.testing.assert_equal(np.random.get_state(), before)


# --- the faults that are repaired, one by one ------------------------------------------------


def test_a_video_of_t_frames_gives_each_of_them() -> None:
    assert Uniform(8).indices(8).tolist() == [[*range(8)]]
    upstream = Uniform(8, variant="upstream").indices(8)
    assert (upstream + 1).tolist() == [[1, 4, 4, 4, 5, 6, 8, 8]]


def test_training_can_draw_every_frame() -> None:
    def drawn(sampling: Uniform) -> set[int]:
        return {int(i) for seed in range(200) for i in sampling.indices(127, draw(seed))[0]}

    assert drawn(Uniform(64)) == set(range(127))
    assert drawn(Uniform(64, variant="upstream")) == set(range(64))


def test_ten_clips_divide_the_segment() -> None:
    assert Uniform(2, clips=10).indices(200)[:, 0].tolist() == [*range(5, 100, 10)]
    upstream = Uniform(2, clips=10, variant="upstream")
    assert upstream.indices(200)[:, 0].tolist() == [*range(46, 56)]


def test_a_dense_clip_is_of_the_middle_and_not_wrapped_around() -> None:
    def dense(n: int, **variant: Any) -> list[int]:
        first: list[int] = Dense(4, span=8, clips=1, **variant).indices(n)[0].tolist()
        return first

    assert dense(20, variant="upstream") == [0, 2, 4, 6]
    assert dense(20) == [6, 8, 10, 12]
    assert dense(5, variant="upstream") == [0, 2, 4, 1]
    assert dense(5) == Clips(4, stride=2).indices(5)[0].tolist() == [0, 1, 2, 3]


# --- wrong arguments -------------------------------------------------------------------------


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="num_segments is 0, expected at least 1"):
        Uniform(0)
    with pytest.raises(ValueError, match="frames_per_segment is -1"):
        Uniform(frames_per_segment=-1)
    with pytest.raises(ValueError, match="clips is 0"):
        Uniform(clips=0)
    with pytest.raises(ValueError, match="num_frames is 0, expected at least 1"):
        Uniform().indices(0)
