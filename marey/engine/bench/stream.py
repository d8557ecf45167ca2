"""A model that looks back only, fed one frame at a time."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from marey.engine.timing import timed
from marey.models.layout import channels_last
from marey.models.stream import streaming
from marey.models.video_model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class StreamSpeed:
    """How long a stream waits for what is said of its newest frame."""

    frames: int
    """Of the clip form, beside which the stream is measured."""
    median_seconds: float
    """Of one frame."""
    slow_seconds: float
    """Of one frame, which 95 of 100 stay below."""
    cpu_seconds: float
    """The median of one frame in processor time, all threads together."""
    clip_cpu_seconds: float
    """The same of a whole clip."""

    @property
    def frames_per_second(self) -> float:
        """Frames a second."""
        return 1 / self.median_seconds

    @property
    def share_of_clip(self) -> float:
        """A frame's time as a share of the clip's: at best 1 / `frames`."""
        return self.cpu_seconds / self.clip_cpu_seconds


def bench_stream(
    spec: ModelSpec, *, size: int = 224, repeats: int = 50, device: str = "cpu"
) -> StreamSpeed:
    """Time `repeats` frames of one stream, and a fifth as many clips of the same model.

    Raises:
        ValueError: the model needs later frames.
    """
    model = channels_last(spec.build()).to(device).eval()
    stream = channels_last(streaming(model, spec.heads[0].name))
    clip = torch.randn(1, *spec.clip_shape(size), device=device)
    kept: tuple[Tensor, ...] = stream.first_buffers(*clip.shape[-2:])

    @torch.inference_mode()
    def next_frame() -> None:
        nonlocal kept
        _, *buffers = stream(clip[:, 0], *kept)
        kept = tuple(buffers)

    @torch.inference_mode()
    def whole_clip() -> None:
        model(clip)

    frames = timed(next_frame, repeats=repeats, device=device)
    clips = timed(whole_clip, repeats=max(1, repeats // 5), device=device)
    return StreamSpeed(
        frames=spec.frames,
        median_seconds=frames.wall_seconds,
        slow_seconds=float(np.quantile(frames.wall, 0.95)),
        cpu_seconds=frames.cpu_seconds,
        clip_cpu_seconds=statistics.median(clips.cpu),
    )
