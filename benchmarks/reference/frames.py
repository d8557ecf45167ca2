"""Clips as a batch of frames and back, the way the published code does it: by views."""

from __future__ import annotations

from torch import Tensor


def as_frames(clip: Tensor) -> Tensor:
    """Frames [b*t c h w] of clips [b t c h w]."""
    return clip.reshape(-1, *clip.shape[2:])


def consensus(logits: Tensor, num_segments: int) -> Tensor:
    """Logits [b k] of those of the frames [b*t k]."""
    return logits.view(-1, num_segments, logits.shape[1]).mean(dim=1)
