"""Clips as the published code reads them (temporal-shift-module `dataset.py`, `transforms.py`).

Loose JPEG, every frame decoded whole by Pillow, cropped and scaled by itself, the frames stacked,
normalised in float32 on the CPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from marey.data.loading.clips import clip_rng
from marey.video.augment import IMAGENET_MEAN, IMAGENET_STD
from marey.video.reading.pixels import ShortSide
from marey.video.sampling.segments import Segments

TEMPLATE = "img_{:05d}.jpg"
SCALES = (1, 0.875, 0.75, 0.66)


def training_clip(folder: Path, num_frames: int, sampling: Segments, *, seed: int) -> Tensor:
    """A clip float32 [3t 224 224]: one box at random of all frames, half of the clips mirrored."""
    rng = clip_rng(seed)
    pictures = _pictures(folder, sampling.indices(num_frames, rng)[0])
    short = min(pictures[0].size)
    width, height = (int(short * rng.choice(SCALES)) for _ in range(2))
    left = int(rng.integers(pictures[0].width - width + 1))
    top = int(rng.integers(pictures[0].height - height + 1))
    box = (left, top, left + width, top + height)
    pictures = [p.crop(box).resize((224, 224), Image.Resampling.BILINEAR) for p in pictures]
    if rng.random() < 0.5:
        pictures = [p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in pictures]
    return _stacked(pictures)


def testing_clip(folder: Path, num_frames: int, sampling: Segments) -> Tensor:
    """A clip float32 [3t 224 224]: the middle of every frame at short side 256."""
    pictures = _pictures(folder, sampling.indices(num_frames)[0])
    width, height = ShortSide(256, enlarge=True)(pictures[0].size)
    left, top = (width - 224) // 2, (height - 224) // 2
    box = (left, top, left + 224, top + 224)
    return _stacked(
        [p.resize((width, height), Image.Resampling.BILINEAR).crop(box) for p in pictures]
    )


def _pictures(folder: Path, indices: np.ndarray) -> list[Image.Image]:
    files = [folder / TEMPLATE.format(index + 1) for index in indices.tolist()]
    return [Image.open(file).convert("RGB") for file in files]


def _stacked(pictures: list[Image.Image]) -> Tensor:
    stacked = torch.from_numpy(np.concatenate([np.array(p) for p in pictures], axis=2))
    clip = stacked.permute(2, 0, 1).contiguous().float().div(255)
    count = len(pictures)
    for channel, mean, std in zip(clip, IMAGENET_MEAN * count, IMAGENET_STD * count, strict=True):
        channel.sub_(mean).div_(std)
    return clip
