"""The laws of the crop that torchvision's networks train on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.recipes.recipe import Views
from marey.recipes.schema import from_yaml, to_yaml
from marey.video.crops import resize
from marey.video.torchvision_crops import StretchedCrop

sizes = st.integers(16, 64)


@given(sizes, sizes, st.integers(0, 2**32))
def test_a_view_is_a_square_of_the_stretched_frame(height: int, width: int, seed: int) -> None:
    crop = StretchedCrop(16, (18, 21))
    frames = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    box = crop.box(18, 21, np.random.default_rng(seed))
    assert 0 <= box.left <= 21 - 16
    assert 0 <= box.top <= 18 - 16
    (view,) = crop(frames, np.random.default_rng(seed))
    torch.testing.assert_close(view, box.cut(resize(frames, (18, 21), antialias=False)))


def test_every_place_is_drawn() -> None:
    crop, rng = StretchedCrop(16, (18, 17)), np.random.default_rng(0)
    drawn = {(box.top, box.left) for box in (crop.box(18, 17, rng) for _ in range(100))}
    assert drawn == {(top, left) for top in range(3) for left in range(2)}


def test_specs_survive_yaml_and_are_checked() -> None:
    views = Views(crop=StretchedCrop(8, (9, 12)))
    assert from_yaml(Views, to_yaml(views)) == views
    with pytest.raises(ValueError, match=r"resize is \(100, 171\), smaller than the crop"):
        StretchedCrop(112, (100, 171))
    with pytest.raises(ValueError, match="draws its square and got no rng"):
        StretchedCrop()(torch.zeros(1, 3, 200, 200, dtype=torch.uint8))
