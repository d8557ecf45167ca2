"""Videos and recipes small enough for a test to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import torch
from torch import Tensor, nn

from marey.models.layout import fold_time, unfold_time
from marey.models.sites import TemporalOp
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD, Cosine
from marey.recipes.recipe import DataSpec, Recipe, Stage, TestViews, Views
from marey.video.augment import Augment
from marey.video.crops import CenterCrop, RandomResizedCrop
from marey.video.sampling.segments import Segments

CLASSES = ("dark", "red", "green", "blue")
COLOURS = np.array([[20, 20, 20], [220, 30, 30], [30, 220, 30], [30, 30, 220]])


def write_clip(path: Path, label: int, *, num_frames: int = 6, seed: int = 0) -> None:
    """An H.264 file in the colour of its class, with noise."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for _ in range(num_frames):
            pixels = (COLOURS[label] + rng.normal(0, 20, (40, 48, 3))).clip(0, 255)
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_set(folder: Path, per_class: int = 4, val_per_class: int = 2) -> Path:
    """Four classes of tiny videos with a manifest; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["path,label,split,num_frames"]
    for label, name in enumerate(CLASSES):
        for i in range(per_class + val_per_class):
            path = folder / f"{name}_{i}.mp4"
            write_clip(path, label, seed=100 * label + i)
            lines.append(f"{path.name},{label},{'train' if i < per_class else 'val'},6")
    (folder / "labels.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


class TinyEncoder(nn.Module):
    """Two convolutions without batch norm: what a clip gives does not depend on the others."""

    def __init__(self, width: int, num_frames: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2)
        self.num_features, self.num_frames = width, num_frames

    def forward(self, clip: Tensor) -> Tensor:
        x = fold_time(clip)
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        return unfold_time(x.mean(dim=(2, 3)), self.num_frames)


@dataclass(frozen=True)
class TinySpec:
    """An encoder that is not marey's, as a user would bring it."""

    width: int = 8
    in_channels: int = 3

    frames_per_segment: ClassVar[int] = 1

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> TinyEncoder:
        return TinyEncoder(self.width, num_segments)


def tiny_recipe(manifest: Path, *, epochs: int = 2, batch_size: int = 4) -> Recipe:
    """Trains in a second or two on a CPU."""
    return Recipe(
        name="tiny",
        model=ModelSpec(TinySpec(), num_segments=2, heads=(), dropout=0.2),
        data=DataSpec(train=str(manifest), val=str(manifest), workers=0),
        train=Views(Segments(2), RandomResizedCrop(32, scale=(0.5, 1.0))),
        test=TestViews(Segments(2), CenterCrop(32, resize=36)),
        augment=Augment(flip="plain"),
        stages=(
            Stage(
                epochs=epochs, optim=SGD(lr=0.05, groups="plain", head_lr5=False), schedule=Cosine()
            ),
        ),
        batch_size=batch_size,
        lr_batch_size=None,
    )


def with_workers(recipe: Recipe, workers: int) -> Recipe:
    """The same recipe, read by that many processes."""
    return replace(recipe, data=replace(recipe.data, workers=workers))
