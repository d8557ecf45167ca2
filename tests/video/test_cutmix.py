"""CutMix: a box of the next clip, and labels by the pixels that it really takes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from marey.recipes.catalog import find
from marey.recipes.schema import override
from marey.video.augment import Augment, augment
from marey.video.cutmix import area, boxes

PLAIN = Augment(mean=(0.0,), std=(1.0,))
CLASSES = {"label": 4}
unit = st.floats(0, 1, exclude_max=True)


def levels(count: int, height: int = 10, width: int = 14) -> Tensor:
    """Clips of one grey level each: 10, 20 ..."""
    of_clip = torch.arange(1, count + 1, dtype=torch.uint8)[:, None, None, None, None] * 10
    return of_clip.expand(count, 3, 3, height, width).clone()


def cut(plan: Augment, count: int, seeds: np.ndarray) -> tuple[Tensor, Tensor]:
    labels = {"label": torch.arange(count) % 4}
    clips, mixed = augment(levels(count), labels, plan, seeds, num_classes=CLASSES)
    return (clips * 255).round(), mixed["label"]


@given(share=unit, row=unit, column=unit, height=st.integers(1, 40), width=st.integers(1, 40))
def test_a_box_is_that_of_the_published_code(
    share: float, row: float, column: float, height: int, width: int
) -> None:
    """`rand_bbox`, a picture at a time: sides of sqrt(1 - lambda) around a pixel, cut off."""
    side_h, side_w = (int(size * math.sqrt(share)) for size in (height, width))
    y, x = int(row * height), int(column * width)
    top, bottom = max(y - side_h // 2, 0), min(y + side_h // 2, height)
    left, right = max(x - side_w // 2, 0), min(x + side_w // 2, width)
    found = boxes(
        np.array([share]), np.array([row]), np.array([column]), height=height, width=width
    )
    assert found[:, 0].tolist() == [top, bottom, left, right]
    assert area(found).tolist() == [(bottom - top) * (right - left)]


@given(seed=st.integers(0, 2**40), alpha=st.floats(0.1, 10), mixup=st.sampled_from([0.0, 0.4]))
def test_labels_are_mixed_by_what_is_replaced_and_stay_distributions(
    seed: int, alpha: float, mixup: float
) -> None:
    clips, labels = cut(replace(PLAIN, cutmix=alpha, mixup=mixup), 3, np.arange(seed, seed + 3))
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(3))
    assert (labels >= 0).all()
    for i in range(3):
        assert torch.equal(clips[i], clips[i, :1, :1].expand_as(clips[i]))  # all frames alike
        following = 10.0 * ((i + 1) % 3 + 1)
        taken = float((clips[i, 0, 0] == following).double().mean())
        if not mixup:
            assert float(labels[i, i]) == pytest.approx(1 - taken, abs=1e-6)


def test_beside_mixup_each_clip_is_mixed_by_one_of_the_two() -> None:
    seeds = np.arange(400)
    both = replace(PLAIN, cutmix=1.0, mixup=1.0)
    clips, labels = cut(both, 20, seeds[:20])
    mixed, of_mixup = cut(replace(PLAIN, mixup=1.0), 20, seeds[:20])
    is_cut = ~(clips == mixed).flatten(1).all(dim=1)
    assert 0 < is_cut.sum() < 20
    assert torch.equal(labels[~is_cut], of_mixup[~is_cut])


def test_a_clip_is_cut_alike_in_any_batch() -> None:
    clips, labels = cut(replace(PLAIN, cutmix=1.0), 6, np.arange(6))
    fewer, fewer_labels = cut(replace(PLAIN, cutmix=1.0), 4, np.arange(4))
    assert torch.equal(clips[:3], fewer[:3])
    assert torch.equal(labels[:3], fewer_labels[:3])


def test_several_labels_are_mixed_as_they_are() -> None:
    several = {"label": torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 0]])}
    plan = replace(PLAIN, cutmix=1.0)
    clips, mixed = augment(levels(2), several, plan, np.array([3, 4]), num_classes=CLASSES)
    taken = float(((clips[0, 0, 0] * 255).round() == 20).double().mean())
    expected = torch.tensor([1 - taken, 1 - taken, taken, 0])
    torch.testing.assert_close(mixed["label"][0], expected)


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cutmix needs num_classes of \['label'\]"):
        augment(levels(1), {"label": torch.zeros(1).long()}, Augment(cutmix=1.0), np.zeros(1, int))
    with pytest.raises(ValueError, match="cutmix is -1"):
        Augment(cutmix=-1)
    with pytest.raises(Exception, match="augment changes pixels, but the model takes features"):
        override(find("features-linear"), ["augment.cutmix=1"])
