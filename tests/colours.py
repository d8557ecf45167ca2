"""A model whose every answer is known: a clip is as red, green or blue as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import torch
from torch import Tensor, nn

from marey.engine.inference.predict import Predictor
from marey.engine.weights.trained import Trained
from marey.models.encoder import EncoderModule
from marey.models.layout import cells, fold_time, unfold_time
from marey.models.sites import TemporalOp
from marey.models.video_model import Head, ModelSpec, VideoModel
from tests.tiny import tiny_recipe

CLASSES = ("red", "green", "blue")
COUNTS = (120, 30, 1)
"""Training clips of each."""
PIXELS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


class Colours(EncoderModule):
    """The mean of each colour over squares of 4 pixels, and then over them all."""

    num_features = 3

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.squares, self.num_frames = nn.AvgPool2d(4), num_frames

    def forward(self, clip: Tensor) -> Tensor:
        return unfold_time(self.squares(fold_time(clip)).mean(dim=(2, 3)), self.num_frames)

    def tokens(self, clip: Tensor) -> Tensor:
        return cells(self.squares(fold_time(clip)), self.num_frames)


@dataclass(frozen=True)
class ColoursSpec:
    in_channels: int = 3
    frames_per_segment: ClassVar[int] = 1

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> Colours:
        return Colours(num_segments)


def colours() -> VideoModel:
    """The model of two frames, in evaluation mode."""
    spec = ModelSpec(ColoursSpec(), num_segments=2, heads=(Head("label", 3),))
    model = spec.build().eval()
    with torch.no_grad():
        model.heads["label"].weight.copy_(torch.eye(3))
        model.heads["label"].bias.zero_()
    return model


def colour_predictor(folder: Path, name: str = "colours") -> Predictor:
    model = colours()
    recipe = replace(tiny_recipe(folder / "manifest.csv"), name=name, model=model.spec)
    counts = {"label": np.array(COUNTS)}
    trained = Trained(recipe, model, {"label": CLASSES}, counts)
    return Predictor(trained, torch.device("cpu"))


def write_colours(
    path: Path, parts: Sequence[tuple[str, float]], *, rate: int = 10, codec: str = "libx264"
) -> Path:
    """A video of 160 x 120 pixels that has each colour for so many seconds."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height = 160, 120
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for colour, seconds in parts:
            picture = np.full((120, 160, 3), PIXELS[colour], np.uint8)
            for _ in range(round(seconds * rate)):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    return path
