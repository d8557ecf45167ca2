"""Long-term difference module of TDN (arXiv 2012.10071): neighbouring segments gate channels.

With b = BN(reduce(x)) of C/r channels and q = smooth(b), a depthwise 3x3 convolution, for each
segment t and the neighbour on either side of it

    z_t     = q_{t+1} - b_t  or  q_{t-1} - b_t             (zero where there is no neighbour)
    gate(z) = sigmoid(BN(expand(mean(z, fine(z), up(coarse(pool(z)))))))
    y       = x (1/2 + (gate(ahead) + gate(back)) / 2)

followed by a learned shift: a depthwise convolution over time that starts as a shift of C/8
channels each way. Both stand between the first and the second convolution of a block.

**Deviates**: both directions run as one batch. While training each keeps batch statistics of its
own, and the running ones are updated twice, ahead first, as in the release. A map of a single row
or column is not pooled along it; the release stops there (input below 33 pixels). The paper pools
the third scale by 4; the release, and so every checkpoint, does not pool it (`fine`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.layers import conv
from marey.models.layout import OnClips, fold_time, unfold_time
from marey.models.sites import Block, Site, TemporalOp
from marey.types import check_counts, check_numbers


@dataclass(frozen=True)
class LongTermDifference(TemporalOp):
    """Attention from differences of segments and a learned shift, in every stage but the first.

    `reduction` is r, the factor by which the attention is narrower than x; `shift_div` says which
    share of the channels the learned shift begins by moving each way.
    """

    reduction: int = 16
    shift_div: int = 8

    def __post_init__(self) -> None:
        check_counts(reduction=self.reduction)
        check_numbers(at_least=2, shift_div=self.shift_div)

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """Both modules before the second convolution, from stage 1 on."""
        if block.stage == 0:
            return {}
        channels, frames = block.mid_channels, block.num_frames
        modules = OrderedDict[str, nn.Module](
            attention=DifferenceAttention(channels, frames, self.reduction),
            shift=LearnedShift(channels, frames, channels // self.shift_div),
        )
        return {"after_relu1": nn.Sequential(modules)}


class DifferenceAttention(OnClips):
    """Frames [b*t c h w], each channel of each place scaled by 1/2 to 3/2."""

    def __init__(self, channels: int, num_frames: int, reduction: int = 16) -> None:
        super().__init__()
        self.num_frames = num_frames
        inner = max(1, channels // reduction)
        self.reduce = conv(channels, inner, 1)
        self.reduce_bn = nn.BatchNorm2d(inner)
        self.smooth = conv(inner, inner, 3, groups=inner)
        self.coarse = conv(inner, inner, 3)
        self.coarse_bn = nn.BatchNorm2d(inner)
        self.fine = conv(inner, inner, 3)
        self.fine_bn = nn.BatchNorm2d(inner)
        self.expand = conv(inner, channels, 1)
        self.expand_bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        b = self.reduce_bn(self.reduce(x))
        z = fold_time(self._differences(b, self.smooth(b)))
        size = z.shape[2:]
        coarse = self.coarse(F.avg_pool2d(z, [min(2, side) for side in size]))
        coarse = F.interpolate(_each_half(self.coarse_bn, coarse), size)
        fine = _each_half(self.fine_bn, self.fine(z))
        gates = _each_half(self.expand_bn, self.expand((z + coarse + fine) / 3)).sigmoid()
        ahead, back = gates.tensor_split(2)
        return x * ((ahead + back + 1) / 2)

    def _differences(self, b: Tensor, q: Tensor) -> Tensor:
        """What lies ahead of each segment and then what lies behind: [2*b t c h w]."""
        b, q = unfold_time(b, self.num_frames), unfold_time(q, self.num_frames)
        nothing = torch.zeros_like(b[:, :1])
        ahead = torch.cat((q[:, 1:] - b[:, :-1], nothing), dim=1)
        back = torch.cat((nothing, q[:, :-1] - b[:, 1:]), dim=1)
        return torch.cat((ahead, back))


class LearnedShift(OnClips, nn.Conv1d):
    """A depthwise convolution over time with 3 taps: frame t from t-1, t and t+1.

    The first `fold` channels begin by taking t+1, the next `fold` t-1, the others stay. It is run
    as three multiplications; a convolution would first bring time to the last axis.
    """

    def __init__(self, channels: int, num_frames: int, fold: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.num_frames = num_frames
        nn.init.zeros_(self.weight)
        nn.init.ones_(self.weight[:fold, :, 2])
        nn.init.ones_(self.weight[fold : 2 * fold, :, 0])
        nn.init.ones_(self.weight[2 * fold :, :, 1])

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w], mixed over time channel by channel."""
        x = unfold_time(x, self.num_frames)
        before, here, after = self.weight.reshape(-1, 3).t().reshape(3, -1, 1, 1).unbind()
        y = x * here
        y[:, 1:].addcmul_(x[:, :-1], before)
        y[:, :-1].addcmul_(x[:, 1:], after)
        return fold_time(y)


def _each_half(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """`norm(x)`; while training, of the first and the second half of the batch apart."""
    if not norm.training:
        normed: Tensor = norm(x)
        return normed
    return torch.cat([norm(half) for half in x.tensor_split(2)])
