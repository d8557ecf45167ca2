"""Crops against bLVNet-TAM's pictures: to the bit with Pillow's scaling, to a grey level with ours.

The pictures are two frames of coarse and fine noise, which the stored checksums identify.
"""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from marey.video import crops
from marey.video.augment import IMAGENET_MEAN, IMAGENET_STD, normalize
from marey.video.crops import CenterCrop, Crop, FiveCrop, MultiScaleCrop, TenCrop, ThreeCrop

GREY_LEVEL = 1 / 255 / 0.224  # after normalising, at most
CROPS = {1: CenterCrop, 5: FiveCrop, 10: TenCrop}


@pytest.fixture(scope="module")
def golden(goldens_dir: Path) -> dict[str, Any]:
    text = (goldens_dir / "blvnet" / "transforms.json").read_text()
    return cast("dict[str, Any]", json.loads(text))


def pictures(width: int, height: int) -> Tensor:
    """The two frames behind every stored number, uint8 [2 3 h w]."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 200, (2, -(-height // 8), -(-width // 8), 3))
    fine = rng.integers(0, 56, (2, height, width, 3))
    pixels = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width] + fine
    return torch.from_numpy(pixels.astype(np.uint8)).permute(0, 3, 1, 2)


def by_pillow(frames: Tensor, size: tuple[int, int], *, antialias: bool = True) -> Tensor:
    """`crops.resize` as upstream does it, frame by frame."""
    assert antialias
    images = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
    scaled = [np.array(im.resize(size[::-1], Image.Resampling.BILINEAR)) for im in images]
    return torch.from_numpy(np.stack(scaled)).permute(0, 3, 1, 2)


def crop_of(case: dict[str, Any]) -> Crop:
    """The crop of a stored case: `disable_scaleup` scales the short side to the crop itself."""
    size = case["input_shape"]
    scale = size if case["disable_scaleup"] else int(size / 0.875 + 0.5)
    assert scale == case["scale_size"]
    if case["num_crops"] == 3:
        return ThreeCrop(size, scale, along="longer")
    return CROPS[case["num_crops"]](size, scale)


class PythonRandom:
    """Upstream's generator, Python's `random`, under the names we call."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def integers(self, n: int) -> int:
        return self.random.choice(range(n))


def drawn(case: dict[str, Any]) -> tuple[crops.Box, Tensor]:
    """The box of a stored training case and its one view, mirrored if upstream's coin says so."""
    width, height = case["image_wh"]
    seed = case["random.seed"]
    box = MultiScaleCrop().box(height, width, cast("np.random.Generator", PythonRandom(seed)))
    rng = PythonRandom(seed)
    view = MultiScaleCrop()(pictures(width, height), cast("np.random.Generator", rng))
    flipped = rng.random.random() < 0.5
    assert flipped == case["flipped"]
    return box, view.flip(-1) if flipped else view


def stacked(views: Tensor) -> npt.NDArray[np.uint8]:
    """Upstream's picture of all channels, [h w (s t c)]."""
    pixels: npt.NDArray[np.uint8] = views.permute(3, 4, 0, 1, 2).flatten(2).contiguous().numpy()
    return pixels


def checksum_of_floats(views: Tensor) -> int:
    """CRC32 of the clip as upstream normalises it; `normalize` differs in the last bit."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    clip = views.to(torch.float32).div(255).sub(mean).div(std)
    return zlib.crc32(clip.contiguous().numpy().tobytes())


def assert_close(views: Tensor, case: dict[str, Any], tolerance: float) -> None:
    out = normalize(views).flatten(0, 2)
    assert list(out.shape) == case["shape"]
    assert abs(out.mean().item() - case["mean"]) < GREY_LEVEL / 20, case
    assert abs(out.std().item() - case["std"]) < GREY_LEVEL / 20, case
    for position, value in zip(case["flat_index"], case["values"], strict=True):
        assert abs(out.reshape(-1)[position].item() - value) < tolerance, case


def test_every_published_test_view_is_reproduced(golden: dict[str, Any]) -> None:
    for case in golden["val_and_test"]:
        frames, crop = pictures(*case["image_wh"]), crop_of(case)
        width, height = case["image_wh"]
        assert isinstance(crop, CenterCrop | ThreeCrop | FiveCrop)
        assert crop.scaled(height, width) == (*case["scaled_wh"][::-1],)
        views = crop(frames)
        if case["scaled_wh"] == case["image_wh"]:
            assert zlib.crc32(stacked(views).tobytes()) == case["crc32_uint8"], case
            assert_close(views, case, tolerance=1e-6)
        else:
            assert_close(views, case, tolerance=1.01 * GREY_LEVEL)


def test_with_pillows_scaling_every_test_view_is_upstreams_to_the_bit(
    golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in golden["val_and_test"]:
        frames, crop = pictures(*case["image_wh"]), crop_of(case)
        ours = crop(frames)
        with monkeypatch.context() as patch:
            patch.setattr(crops, "resize", by_pillow)
            views = crop(frames)
        assert zlib.crc32(stacked(views).tobytes()) == case["crc32_uint8"], case
        assert checksum_of_floats(views) == case["crc32_float32"], case
        assert (ours.to(torch.int16) - views.to(torch.int16)).abs().max() <= 1, case


def test_every_published_training_view_is_reproduced(
    golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in golden["train_full"]:
        box, view = drawn(case)
        assert [box.width, box.height, box.left, box.top] == case["picked_w_h_x_y"]
        assert_close(view, case, tolerance=1.01 * GREY_LEVEL)
        with monkeypatch.context() as patch:
            patch.setattr(crops, "resize", by_pillow)
            assert checksum_of_floats(drawn(case)[1]) == case["crc32_float32"], case


def test_every_published_size_and_place_of_a_training_crop_is_reproduced(
    golden: dict[str, Any],
) -> None:
    for case in golden["multi_scale_crop"]:
        width, height = case["image_wh"]
        shapes = MultiScaleCrop().shapes(height, width)
        assert [[w, h] for h, w in shapes] == case["crop_wh_pairs"]
        for size, offsets in case["offsets"].items():
            w, h = map(int, size.split("x"))
            boxes = [
                crops.at_place(place, (h, w), (height, width)) for place in MultiScaleCrop.places
            ]
            assert [[box.left, box.top] for box in boxes] == offsets, (case["image_wh"], size)


def test_no_stored_case_is_left_out(golden: dict[str, Any]) -> None:
    assert set(golden) - {"about", "versions"} == {"val_and_test", "multi_scale_crop", "train_full"}


def test_three_crops_lie_along_the_longer_side() -> None:
    wide, high = (ThreeCrop(4, 4, along="longer").boxes(*size) for size in ((4, 12), (12, 4)))
    assert [(box.left, box.top) for box in wide] == [(0, 0), (8, 0), (4, 0)]
    assert [(box.left, box.top) for box in high] == [(0, 0), (0, 8), (0, 4)]
    assert len({(box.left, box.top) for box in ThreeCrop(4, 4).boxes(12, 4)}) == 1
