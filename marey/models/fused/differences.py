"""TDN in fewer passes over its maps.

    gates   sigmoid(expand((z + fine(z) + up(coarse)) / 3))
            is two convolutions: z one more in the middle of each filter of `fine`, up(coarse) its
            sum, the third within `expand`
    y       x (1 + gate ahead + gate back) / 2
            is one pass, and the half goes to the learned shift
    fusion  a x + b up(d)
            is written into the memory of x: d is repeated as it is added

Norms and the sigmoid are within the convolutions (`marey.models.fused.convolution`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoder import MapsEncoder
from marey.models.encoders.tdn import TDN, TDNSpec
from marey.models.fused.convolution import Convolution
from marey.models.fused.forms import chained, form_of, fuses, joins
from marey.models.layout import fold_time, split_axis, unfold_time
from marey.models.temporal.tdn import DifferenceAttention, LearnedShift
from marey.types import Clip


class FusedTDN(MapsEncoder):
    """Segment features of clips: [b 5*t c h w] -> [b t' d]: the form of `TDN`."""

    def __init__(self, network: TDN) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *chained([network.conv1, network.bn1, network.relu, network.maxpool])
        )
        self.short_term = form_of(network.short_term)
        self.layer1, self.rest = (
            form_of(network.layer1),
            nn.Sequential(*chained([network.layer2, network.layer3, network.layer4])),
        )
        self.fusion = network.fusion
        self.num_frames, self.num_features = network.num_frames, network.num_features

    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*t' d h' w'] of clips [b 5*t c h w]."""
        segments = unfold_time(fold_time(clip), TDNSpec.frames_per_segment)
        d0, d1 = self.short_term(segments)
        x = self.layer1(fuse_into(self.stem(segments[:, 2]), d0, self.fusion))
        maps: Tensor = self.rest(fuse_into(x, d1, self.fusion))
        return maps

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"fusion={self.fusion}"


class FusedAttention(nn.Module):
    """Frames [b*t c h w], each channel of each place scaled: the form of `DifferenceAttention`."""

    def __init__(self, attention: DifferenceAttention) -> None:
        super().__init__()
        self.num_frames = attention.num_frames
        self.reduce = _convolution(attention.reduce, attention.reduce_bn)
        self.smooth = _convolution(attention.smooth)
        self.coarse = _convolution(attention.coarse, attention.coarse_bn)
        self.fine = _convolution(attention.fine, attention.fine_bn)
        self.expand = _convolution(attention.expand, attention.expand_bn, nn.Sigmoid())
        self.factor = 0.5
        with torch.no_grad():
            self.fine.weight[:, :, 1, 1].diagonal().add_(1)
            self.expand.weight.div_(3)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        b = self.reduce(x)
        z = self._differences(b, self.smooth(b))
        size = z.shape[2:]
        coarse = self.coarse(F.avg_pool2d(z, [min(2, side) for side in size]))
        gates = self.expand(self.fine(z, F.interpolate(coarse, size), overwrite=True))
        ahead, back = gates.tensor_split(2)
        y = torch.addcmul(x, x, ahead.add_(back))
        return y if self.factor == 1 else y.mul_(self.factor)

    def _differences(self, b: Tensor, q: Tensor) -> Tensor:
        """What lies ahead of each segment and then what lies behind: [2*b*t c h w]."""
        # frames moved by one, over the clips' borders: what crosses them is set to nothing below
        z = torch.cat((q[1:], q[:1], q[-1:], q[:-1]))
        ahead, back = (unfold_time(half, self.num_frames) for half in z.tensor_split(2))
        b = unfold_time(b, self.num_frames)
        ahead[:, :-1].sub_(b[:, :-1])
        back[:, 1:].sub_(b[:, 1:])
        ahead[:, -1] = back[:, 0] = 0
        return z


def fuse_into(x: Tensor, difference: Tensor, weights: tuple[float, float]) -> Tensor:
    """a x + b up(difference) of maps, in the memory of `x` where that is twice as large."""
    (a, b), (height, width) = weights, difference.shape[2:]
    if x.shape[2:] != (2 * height, 2 * width):
        return x * a + F.interpolate(difference * b, x.shape[2:])
    by_cell = split_axis(split_axis(x.mul_(a), 3, width, 2), 2, height, 2)
    by_cell.add_(difference[:, :, :, None, :, None], alpha=b)
    return x


@fuses(TDN)
def _(network: TDN) -> nn.Module:
    return FusedTDN(network)


@fuses(DifferenceAttention)
def _(attention: DifferenceAttention) -> nn.Module:
    return FusedAttention(attention)


@joins(FusedAttention, LearnedShift)
def _(attention: FusedAttention, shift: LearnedShift) -> nn.Module:
    attention.factor, shift.weight = 1, nn.Parameter(shift.weight / 2)
    return nn.Sequential(attention, shift)


def _convolution(*layers: nn.Module) -> Convolution:
    (form,) = chained(layers)
    assert isinstance(form, Convolution)
    return form
