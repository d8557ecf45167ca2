"""A model that only looks back, on streams: each frame is seen once (`marey.models.stream`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marey.engine.inference.probabilities import to_average
from marey.engine.runtimes.stream_file import StreamFile
from marey.errors import counted
from marey.models.layout import split_axis
from marey.models.stream import StreamingModel
from marey.recipes.recipe import Recipe
from marey.types import Frames
from marey.video.augment import normalize


@dataclass
class Carried:
    """What the last frame of a stream left: buffers [s c h w] of its s crops."""

    buffers: tuple[Tensor, ...]


class FrameByFrame:
    """Scores of each frame, by a streaming model or a file of one."""

    by: Literal["frame"] = "frame"

    def __init__(
        self, model: StreamingModel | StreamFile, recipe: Recipe, device: torch.device
    ) -> None:
        self._model = model
        self._recipe, self._device = recipe, device
        self._crops, size = recipe.test.crop.views, recipe.test.crop.size
        self._first = self._model.first_buffers(size, size, batch=self._crops)
        self.about = f"sees each frame once, in {counted(self._crops, 'crop')} of {size} pixels"

    def begin(self) -> Carried:
        """Zeros, with which clips begin too."""
        return Carried(self._first)

    def look(self, frames: Sequence[tuple[Carried, Frames, float]]) -> list[Tensor | None]:
        """Scores [k] of each frame: the mean of its crops."""
        pixels, head = self._recipe.augment, self._model.head_name
        views = torch.cat([crops for _, crops, _ in frames]).to(self._device)
        x = normalize(views, pixels.mean, pixels.std, channel_order=pixels.channel_order)
        kept = [carried.buffers for carried, _, _ in frames]
        logits, *left = self._model(x, *map(torch.cat, zip(*kept, strict=True)))
        self._carry([carried for carried, _, _ in frames], left)
        several = head in self._recipe.model.several
        average = self._recipe.test.average
        scores = to_average(logits.float(), average=average, several=several)
        return list(split_axis(scores, 0, len(frames), self._crops).mean(dim=1))

    def _carry(self, streams: Sequence[Carried], left: Sequence[Tensor]) -> None:
        """Give each of the streams its part of what the batch left."""
        if len(streams) == 1:
            streams[0].buffers = tuple(left)
            return
        parts = zip(*(torch.split(buffer, self._crops) for buffer in left), strict=True)
        for stream, own in zip(streams, parts, strict=True):
            # a view would keep the buffers of all streams alive for as long as this one rests
            stream.buffers = tuple(part.clone() for part in own)
