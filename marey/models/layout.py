"""The only two reshapes of time: a clip's frames join the batch, and leave it again.

clip  [b t c h w]  -- fold_time -->    frames [b*t c h w]    frames of a clip stay adjacent
any   [b*t ...]    -- unfold_time -->  [b t ...]
"""

from __future__ import annotations

from torch import Tensor


def fold_time(clip_btchw: Tensor) -> Tensor:
    """Frames [b*t ...] of clips [b t ...], the frames of a clip adjacent."""
    return clip_btchw.flatten(0, 1)


def unfold_time(frames: Tensor, num_frames: int) -> Tensor:
    """Clips [b t ...] of frames [b*t ...], `num_frames` to a clip."""
    return frames.view(-1, num_frames, *frames.shape[1:])
