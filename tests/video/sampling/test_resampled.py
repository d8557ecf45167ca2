"""The laws of clips of a resampled video; torchvision's own frames are in tests/recipes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.recipes.recipe import Views
from marey.recipes.schema import from_yaml, to_yaml
from marey.video.sampling.resampled import ResampledClips

specs = st.builds(
    ResampledClips,
    num_frames=st.integers(1, 40),
    rate=st.floats(1, 60),
    fps=st.floats(5, 120),
    clips=st.integers(1, 10),
    variant=st.sampled_from(["repaired", "upstream"]),
)
seeds = st.none() | st.integers(0, 2**32)


@given(spec=specs, n=st.integers(1, 500), seed=seeds)
def test_frames_are_in_the_video_and_in_order(
    spec: ResampledClips, n: int, seed: int | None
) -> None:
    frames = spec.indices(n, None if seed is None else np.random.default_rng(seed))
    assert frames.shape == (spec.clips if seed is None else 1, spec.frames)
    assert frames.dtype == np.int64
    assert 0 <= frames.min() <= frames.max() < n
    assert (np.diff(frames) >= 0).all()


@pytest.mark.parametrize("fps", [15, 25, 30, 48, 60])
def test_a_frame_is_a_fifteenth_of_a_second_after_the_one_before(fps: int) -> None:
    for clip in ResampledClips(16).at(fps).indices(40 * fps):
        assert np.abs((clip - clip[0]) / fps - np.arange(16) / 15).max() < 1 / fps


@pytest.mark.parametrize("fps", [15, 25, 30, 48])
def test_test_clips_reach_from_the_first_frame_to_the_last_and_one_lies_between(fps: int) -> None:
    n = 10 * fps
    clips = ResampledClips(16, clips=3).at(fps).indices(n)
    assert clips[0, 0] == 0
    assert n - 1 - clips[-1, -1] < fps / 15
    (one,) = ResampledClips(16, clips=1).at(fps).indices(n)
    assert one.tolist() == clips[1].tolist()


def test_training_draws_any_window() -> None:
    rng = np.random.default_rng(0)
    spec = ResampledClips(4, rate=15, fps=30)
    drawn = {tuple(spec.indices(16, rng)[0].tolist()) for _ in range(200)}
    assert drawn == {(s, s + 2, s + 4, s + 6) for s in (0, 2, 4, 6, 8)}


def test_a_short_video_repeats_its_last_frame() -> None:
    assert ResampledClips(6, clips=1).indices(7).tolist() == [[0, 2, 4, 6, 6, 6]]


def test_specs_survive_yaml_and_are_checked() -> None:
    views = Views(ResampledClips(8, rate=12.5, fps=50, clips=2))
    assert from_yaml(Views, to_yaml(views)) == views
    with pytest.raises(ValueError, match="rate is 0, expected more than 0"):
        ResampledClips(rate=0)
    with pytest.raises(ValueError, match="clips is 0, expected at least 1"):
        ResampledClips(clips=0)
