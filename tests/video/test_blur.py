"""Grey and blur: a clip as a whole, by its own draws, and as the formulas have it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from marey.video.augment import Augment, augment
from marey.video.blur import blurred

PLAIN = Augment(mean=(0.0,), std=(1.0,))
SEEDS = np.arange(40, dtype=np.int64)


def clips(count: int = 40, size: int = 24) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, 2, 3, size, size + 6), np.uint8))


def changed(plan: Augment, clip: Tensor, seeds: np.ndarray = SEEDS) -> Tensor:
    return augment(clip, {"label": torch.zeros(len(clip)).long()}, plan, seeds)[0]


def test_grey_is_the_luma_of_all_frames_in_its_share_of_the_clips() -> None:
    clip = clips()
    pixels, plain = changed(replace(PLAIN, grey=0.5), clip), clip / 255
    luma = 0.299 * plain[:, :, 0] + 0.587 * plain[:, :, 1] + 0.114 * plain[:, :, 2]
    grey = luma[:, :, None].expand_as(plain)
    is_grey = torch.tensor([torch.allclose(a, b) for a, b in zip(pixels, grey, strict=True)])
    assert 10 < is_grey.sum() < 30
    torch.testing.assert_close(pixels[~is_grey], plain[~is_grey])


def test_blur_is_the_textbook_sum_with_mirrored_edges() -> None:
    clip, radius = torch.rand(2, 2, 3, 42, 45) * 255, 42 // 20
    sigma = torch.tensor([0.7, 1.9])
    found = blurred(clip, sigma)
    for b, t, c, y, x in [(0, 0, 0, 20, 20), (1, 1, 2, 0, 44), (0, 1, 1, 41, 1)]:
        total = weights = 0.0
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                row, column = abs(y + dy), abs(x + dx)
                row, column = min(row, 2 * 41 - row), min(column, 2 * 44 - column)
                weight = float(np.exp(-(dy**2 + dx**2) / (2 * float(sigma[b]) ** 2)))
                total += weight * float(clip[b, t, c, row, column])
                weights += weight
        assert float(found[b, t, c, y, x]) == pytest.approx(total / weights, rel=1e-5)


def test_a_share_of_the_clips_is_blurred_alike_in_any_batch() -> None:
    clip, plan = clips(), replace(PLAIN, blur=0.5)
    pixels = changed(plan, clip)
    is_same = torch.isclose(pixels, clip / 255).flatten(1).all(dim=1)
    assert 10 < is_same.sum() < 30
    alone = torch.cat([changed(plan, clip[i : i + 1], SEEDS[i : i + 1]) for i in range(8)])
    assert torch.equal(alone, pixels[:8])


def test_what_came_later_leaves_what_was_drawn_before() -> None:
    clip, older = clips(), replace(PLAIN, flip="plain", brightness=0.4, erase=0.5)
    pixels = changed(replace(older, grey=1e-9), clip)
    assert torch.equal(pixels, changed(older, clip))


def test_a_picture_without_colours_cannot_turn_grey() -> None:
    with pytest.raises(ValueError, match="contrast, saturation and grey need RGB"):
        changed(replace(PLAIN, grey=0.2), clips()[:, :, :2])
    with pytest.raises(ValueError, match="blur is 2, expected"):
        Augment(blur=2)
