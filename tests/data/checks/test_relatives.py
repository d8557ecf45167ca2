from __future__ import annotations

import numpy as np
import pytest

from marey.data.checks.prints import NUM_PICTURES, SIZE, small_pictures
from marey.data.checks.relatives import find_relatives, linked

NONE = np.zeros((0, 2), np.int64)


def clips(number: int, *, seed: int = 0) -> np.ndarray:
    """Prints of clips without anything in common, each of slowly changing waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    t = np.arange(NUM_PICTURES)[:, None, None]
    found = np.zeros((number, NUM_PICTURES, SIZE, SIZE))
    for clip in found:
        for _ in range(6):
            fy, fx, ft, phase = rng.uniform(0.1, 0.9, 4) * [1, 1, 0.3, 7]
            clip += np.sin(fy * y + fx * x + ft * t + phase)
    return np.rint(128 + 12 * found).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda clip: clip,
        lambda clip: clip[..., ::-1],
        lambda clip: np.rint(clip * 0.7 + 20),
        lambda clip: clip[:, [2, 2, 3, 3, 4, 4, 5, 5]],
        lambda clip: np.rint(clip + np.random.default_rng(1).normal(0, 2, clip.shape)),
    ],
    ids=["copy", "mirrored", "brighter", "a part", "noise"],
)
def test_a_copy_is_related_to_its_clip_and_to_no_other(change) -> None:
    prints = clips(40)
    prints = np.concatenate([prints, change(prints[7:8]).clip(0, 255).astype(np.uint8)])
    assert find_relatives(prints, NONE).pairs.tolist() == [[7, 40]]


def test_a_title_that_clips_have_in_common_makes_no_relatives() -> None:
    prints, title = clips(10), clips(1, seed=9)[0, 0]
    prints[:, 0] = title
    assert not len(find_relatives(prints, NONE).pairs)


def test_frames_of_one_grey_are_like_none() -> None:
    assert not len(find_relatives(np.full((4, NUM_PICTURES, SIZE, SIZE), 9, np.uint8), NONE).pairs)


def test_what_all_clips_have_in_common_makes_no_relatives() -> None:
    room = clips(1, seed=5).astype(int) * 3
    prints = np.rint((room + clips(60)) / 4).astype(np.uint8)
    prints = np.concatenate([prints, prints[3:4]])
    assert find_relatives(prints, NONE).pairs.tolist() == [[3, 60]]


def test_relatives_of_relatives_are_of_one_group() -> None:
    pairs = np.array([[0, 5], [2, 3], [3, 4], [1, 4]])
    assert linked(7, pairs).tolist() == [0, 1, 1, 1, 1, 0, 6]


def test_pictures_of_a_frame_and_of_half_its_size_are_alike() -> None:
    rng = np.random.default_rng(0)
    half = rng.integers(0, 255, (1, 3, 45, 80), np.uint8)
    double = half.repeat(2, axis=2).repeat(2, axis=3)
    one, other = (small_pictures(each).astype(int) for each in (half, double))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9
    assert small_pictures(np.full((2, 3, 5, 7), 9, np.uint8)).shape == (2, SIZE, SIZE)
