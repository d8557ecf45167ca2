"""The laws of Motionformer's crops; the published numbers are in tests/parity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.recipes.recipe import Views
from marey.recipes.schema import from_yaml, to_yaml
from marey.video.motionformer_crops import JitteredCrop, UniformCrop

sizes = st.integers(16, 64)


uniform = st.builds(UniformCrop, st.just(16), sizes, antialias=st.booleans())


@given(height=sizes, width=sizes, crop=uniform)
def test_three_views_reach_from_one_end_of_the_longer_side_to_the_other(
    height: int, width: int, crop: UniformCrop
) -> None:
    ends = [(box.left, box.top) for box in crop.boxes(height, width)]
    longer = [top if height > width else left for left, top in ends]
    shorter = [left if height > width else top for left, top in ends]
    free = max(height, width) - 16
    assert longer == [0, (free + 1) // 2, free]
    assert set(shorter) == {(min(height, width) - 15) // 2}
    views = crop(torch.zeros(2, 3, height, width, dtype=torch.uint8))
    assert views.shape == (3, 2, 3, 16, 16)
    assert views.dtype == torch.uint8


@given(sizes, sizes, st.integers(0, 2**32), st.sampled_from(["uniform", "inverse"]))
def test_a_jittered_view_is_a_square_of_a_frame_scaled_within_the_sides(
    height: int, width: int, seed: int, draw: Any
) -> None:
    crop, rng = JitteredCrop(16, (16, 40), draw), np.random.default_rng(seed)
    assert 16 <= crop.side(rng) <= 40
    box = crop.box(height, width, rng)
    assert 0 <= box.left <= width - 16
    assert 0 <= box.top <= height - 16
    frames = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    assert crop(frames, rng).shape == (1, 2, 3, 16, 16)


def test_small_sides_are_more_frequent_by_their_inverse() -> None:
    rng = np.random.default_rng(0)
    means = [
        np.mean([JitteredCrop(100, (100, 400), draw).side(rng) for _ in range(2000)])
        for draw in ("uniform", "inverse")
    ]
    assert means == pytest.approx([250, 400 * np.log(4) / 3], rel=0.03)


@pytest.mark.parametrize(
    "crop", [UniformCrop(8, 9, antialias=False), JitteredCrop(8, (9, 10), "inverse")]
)
def test_specs_survive_yaml(crop: UniformCrop | JitteredCrop) -> None:
    views = Views(crop=crop)
    assert from_yaml(Views, to_yaml(views)) == views


def test_impossible_crops_are_refused() -> None:
    with pytest.raises(ValueError, match="size is 0, expected at least 1"):
        UniformCrop(0)
    with pytest.raises(ValueError, match=r"resize is 200, smaller than the crop \(size 224\)"):
        UniformCrop(224, 200)
    with pytest.raises(ValueError, match=r"sides is \(200, 256\), smaller than the crop"):
        JitteredCrop(224, (200, 256))
    with pytest.raises(ValueError, match=r"sides is \(320, 256\), expected the smaller first"):
        JitteredCrop(224, (320, 256))
    with pytest.raises(ValueError, match="draws its square and got no rng. hint: test with Unif"):
        JitteredCrop()(torch.zeros(1, 3, 224, 224, dtype=torch.uint8))
