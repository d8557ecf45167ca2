"""The shift of TSM in channels-last memory: all of it copied at once, then what moves.

    [t*h*w c]   ----------------->   rows of a frame, of which the first columns
                 copy whole          come from h*w rows further down, the next from further up

Two long copies and two of an eighth of the columns take half the time of copying the rest by
itself, row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from marey.models.fused.forms import fuses
from marey.models.layout import unfold_time
from marey.models.temporal.kernels import shift
from marey.models.temporal.tsm import Shift


class RowShift(nn.Module):
    """Frames [b*t c h w], shifted: the form of a `Shift`."""

    def __init__(self, num_frames: int, ahead: int, back: int) -> None:
        super().__init__()
        self.num_frames, self.ahead, self.back = num_frames, ahead, back

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w], shifted."""
        if torch.compiler.is_compiling() or not x.is_contiguous(memory_format=torch.channels_last):
            return shift(x, self.num_frames, self.ahead, self.back)
        return shift_rows(x, self.num_frames, self.ahead, self.back)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"num_frames={self.num_frames}, ahead={self.ahead}, back={self.back}"


def shift_rows(x: Tensor, num_frames: int, ahead: int, back: int) -> Tensor:
    """`shift` of frames [b*t c h w] in channels-last memory."""
    shifted = x.clone()
    channels = x.shape[1]
    source, target = (maps.permute(0, 2, 3, 1).view(-1, channels) for maps in (x, shifted))
    rows = x.shape[2] * x.shape[3]  # of a frame
    backward = slice(ahead, ahead + back)
    target[:-rows, :ahead] = source[rows:, :ahead]
    target[rows:, backward] = source[:-rows, backward]
    clips = unfold_time(shifted, num_frames)
    clips[:, -1, :ahead] = clips[:, 0, backward] = 0
    return shifted


@fuses(Shift)
def _(module: Shift) -> nn.Module:
    return RowShift(module.num_frames, module.ahead, module.back)
