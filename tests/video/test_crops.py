"""Crops: the published boxes, draws and pixels, and frames of any size."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from marey.video.augment import normalize
from marey.video.crops import (
    Box,
    CenterCrop,
    Crop,
    FiveCrop,
    MultiScaleCrop,
    RandomResizedCrop,
    TenCrop,
    ThreeCrop,
    at_place,
    resize,
)

GREY_LEVEL = 1 / 255 / 0.224  # after normalising, at most
sides = st.integers(1, 70)
crops: list[Crop] = [
    CenterCrop(32, 40),
    CenterCrop(32, 32),
    CenterCrop(32, None),
    CenterCrop(32, (33, 57)),
    ThreeCrop(32, 40),
    ThreeCrop(32, 32, along="longer"),
    FiveCrop(32, None),
    TenCrop(32, 37),
    MultiScaleCrop(32),
    RandomResizedCrop(32),
]


class PythonRandom:
    """Upstream's generator, Python's `random`, under the names we call."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def integers(self, n: int) -> int:
        return self.random.choice(range(n))


def python_random(seed: int) -> np.random.Generator:
    return cast("np.random.Generator", PythonRandom(seed))


@pytest.fixture(scope="module")
def golden(goldens_dir: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads((goldens_dir / "gc" / "crops.json").read_text()))


# --- what the published code cuts ------------------------------------------------------------


def test_every_published_offset_is_reproduced(golden: dict[str, Any]) -> None:
    for case in golden["fill_fix_offset"]:
        (width, height), (w, h) = case["image"], case["crop"]
        places = MultiScaleCrop.places if case["more"] else FiveCrop.places
        boxes = [at_place(place, (h, w), (height, width)) for place in places]
        assert [[box.left, box.top] for box in boxes] == case["offsets"], case


def test_every_published_training_box_is_reproduced(golden: dict[str, Any]) -> None:
    for case in golden["multi_scale_crop"]:
        crop = MultiScaleCrop(case["input_size"], tuple(case["scales"]))
        width, height = case["image"]
        shapes = crop.shapes(height, width)
        assert [[w, h] for h, w in shapes] == case["candidate_pairs_wh"], case
        assert len(crop.places) == case["n_offsets"]
        rng = python_random(0)
        for expected in case["random.seed(0)_draws_w_h_x_y"]:
            box = crop.box(height, width, rng)
            assert [box.width, box.height, box.left, box.top] == expected, case


TEST_CROPS = {"center": CenterCrop, "full3": ThreeCrop, "over5": FiveCrop, "over10": TenCrop}


def test_every_published_test_box_is_reproduced(golden: dict[str, Any]) -> None:
    for case in golden["test_crops"]:
        scale = case["scale"] if isinstance(case["scale"], int) else tuple(case["scale"])
        crop = TEST_CROPS[case["kind"]](case["crop"], scale)
        width, height = case["source"]
        scaled = crop.scaled(height, width)
        assert [*scaled[::-1]] == case["resized"], case
        boxes = [
            {"box": [b.left, b.top, b.left + b.width, b.top + b.height], "flip": b.flip}
            for b in crop.boxes(*scaled)
        ]
        assert boxes == case["crops"], case


def synthetic(kind: str, width: int, height: int, frames: int) -> torch.Tensor:
    f, y, x, c = np.ogrid[:frames, :height, :width, :3]
    if kind == "hash":
        pixels = (7 * x + 13 * y + 31 * c + 17 * f + (x * y) // 8) % 256
    else:
        pixels = 127.5 + 60 * np.sin(x / 17 + f) + 60 * np.cos(y / 13 + c)
    return torch.from_numpy(pixels.astype(np.uint8)).permute(0, 3, 1, 2)


PIPELINES: dict[str, Crop] = {
    "scale256_center224": CenterCrop(224, 256),
    "scale256_center256": CenterCrop(256, 256),
    "fullres3_256": ThreeCrop(256, 256),
    "oversample5_224": FiveCrop(224, 256),
    "oversample10_224": TenCrop(224, 256),
    "scale240x320_center224": CenterCrop(224, (240, 320)),
}


def test_every_published_pixel_fingerprint_is_reproduced(golden: dict[str, Any]) -> None:
    """Each stored pixel to one grey level; mean, deviation to a twentieth of one."""
    for case in golden["pixels"]:
        frames = synthetic(case["source"], *case["size"], case["frames"])
        pipeline, _, training = case["pipeline"].partition(" multiscale224+labelflip, ")
        if training:
            rng = PythonRandom(int(training.removeprefix("random.seed(").partition(")")[0]))
            views = MultiScaleCrop()(frames, cast("np.random.Generator", rng))
            flipped = rng.random.random() < 0.5
            assert flipped == (case["label_out"] == 87)  # 86 is "pulling from left to right"
            views = views.flip(-1) if flipped else views
        else:
            views = PIPELINES[pipeline](frames)
        out = normalize(views, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).flatten(0, 2)
        expected = case["out"]
        assert list(out.shape) == expected["shape"]
        assert abs(out.mean().item() - expected["mean"]) < GREY_LEVEL / 20, case
        assert abs(out.std().item() - expected["std"]) < GREY_LEVEL / 20, case
        assert abs(out.abs().max().item() - expected["absmax"]) < 1.01 * GREY_LEVEL, case
        for position, value in expected["at"]:
            assert abs(out.reshape(-1)[position].item() - value) < 1.01 * GREY_LEVEL, case


@pytest.mark.parametrize("size", [(256, 455), (240, 320), (224, 224), (192, 341), (340, 600)])
def test_scaling_is_pillows_to_one_grey_level(size: tuple[int, int]) -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 240, 427, 3), np.uint8))
    ours = resize(frames.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1).to(torch.int16)
    for frame, scaled in zip(frames.numpy(), ours, strict=True):
        pillow = Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR)
        apart = (scaled - torch.from_numpy(np.array(pillow)).to(torch.int16)).abs()
        assert apart.max() <= 1
        assert apart.float().mean() < 0.05


# --- laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("crop", crops, ids=str)
@settings(max_examples=40)
@given(height=sides, width=sides, seed=st.integers(0, 2**32))
def test_any_frame_size_gives_full_squares_of_the_frames_own_pixels(
    crop: Crop, height: int, width: int, seed: int
) -> None:
    frames = torch.full((2, 3, height, width), 77, dtype=torch.uint8)
    views = crop(frames, np.random.default_rng(seed))
    assert views.shape == (crop.views, 2, 3, crop.size, crop.size)
    assert views.dtype == torch.uint8
    assert (views == 77).all()  # nothing padded


@given(height=st.integers(1, 400), width=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_random_boxes_lie_in_the_frame(height: int, width: int, seed: int) -> None:
    for crop in (MultiScaleCrop(224), MultiScaleCrop(2), RandomResizedCrop(224)):
        box = crop.box(height, width, np.random.default_rng(seed))
        assert 0 <= box.left <= box.left + box.width <= width
        assert 0 <= box.top <= box.top + box.height <= height
        assert box.width > 0
        assert box.height > 0


@given(height=st.integers(20, 400), width=st.integers(20, 400), seed=st.integers(0, 2**32))
def test_random_resized_boxes_keep_to_the_ratio(height: int, width: int, seed: int) -> None:
    box = RandomResizedCrop(scale=(0.5, 1)).box(height, width, np.random.default_rng(seed))
    assert 3 / 4 * 0.93 < box.width / box.height < 4 / 3 * 1.07  # whole pixels


def test_all_frames_of_a_clip_are_cut_alike() -> None:
    frames = torch.randint(0, 256, (1, 3, 50, 60), dtype=torch.uint8).expand(4, 3, 50, 60)
    for crop in crops:
        views = crop(frames, np.random.default_rng(1))
        assert (views == views[:, :1]).all(), crop


def test_no_resize_cuts_the_pixels_as_they_are() -> None:
    frames = torch.arange(36, dtype=torch.uint8).reshape(1, 1, 6, 6).expand(1, 3, 6, 6)
    assert CenterCrop(2, None)(frames)[0, 0, 0].tolist() == [[14, 15], [20, 21]]


def test_the_mirror_image_of_a_box_is_cut_from_the_same_place() -> None:
    row = torch.arange(5).reshape(1, 5)
    assert Box(1, 0, 3, 1).cut(row).tolist() == [[1, 2, 3]]
    assert Box(1, 0, 3, 1, flip=True).cut(row).tolist() == [[3, 2, 1]]


@pytest.mark.parametrize("crop", crops, ids=str)
def test_views_do_not_depend_on_the_memory_layout(crop: Crop) -> None:
    frames = torch.randint(0, 256, (3, 3, 41, 53), dtype=torch.uint8)
    channels_last = frames.contiguous(memory_format=torch.channels_last)
    ours, theirs = (crop(x, np.random.default_rng(3)) for x in (frames, channels_last))
    assert torch.equal(ours, theirs)


def test_cropping_costs_a_few_milliseconds() -> None:
    frames = torch.randint(0, 256, (8, 240, 427, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    rng = np.random.default_rng(0)
    for crop in (CenterCrop(), MultiScaleCrop()):
        taken = []
        for _ in range(10):
            start = time.process_time()
            crop(frames, rng)
            taken.append(time.process_time() - start)
        assert min(taken) < 0.025, crop  # 1 to 2 ms on one idle core


# --- wrong arguments -------------------------------------------------------------------------


@pytest.mark.parametrize("crop", [MultiScaleCrop(8), RandomResizedCrop(8)])
def test_a_random_crop_without_rng_is_refused(crop: Crop) -> None:
    with pytest.raises(ValueError, match=r"Crop\(size=8.*got no rng. hint: test with CenterCrop"):
        crop(torch.zeros(1, 3, 9, 9, dtype=torch.uint8))


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"resize is 200, smaller than the crop \(size 224\)"):
        CenterCrop(224, 200)
    with pytest.raises(ValueError, match=r"resize is \(320, 200\), smaller"):
        ThreeCrop(224, (320, 200))
    with pytest.raises(ValueError, match="size is 0, expected at least 1"):
        MultiScaleCrop(0)
    with pytest.raises(ValueError, match=r"scales is \(1, 1.2\)"):
        MultiScaleCrop(scales=(1, 1.2))
    with pytest.raises(ValueError, match=r"scale is \(0.5, 0.1\)"):
        RandomResizedCrop(scale=(0.5, 0.1))
    with pytest.raises(ValueError, match=r"ratio is \(0, 1\)"):
        RandomResizedCrop(ratio=(0, 1))
