"""Group Contextualization and element calibration: gates written where the channels stand.

    y_g = x_g * sigmoid(layers(context(x_g)))

The plain form cuts groups out, gates them and puts them together again. Behind a convolution, whose
map nobody else sees, each group is multiplied in its place. Norms and the sigmoid are within the
layers (`marey.models.fused.convolution`).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from marey.models.fused.convolution import Convolution, folded
from marey.models.fused.forms import chained, fuses, joins
from marey.models.layout import unfold_time
from marey.models.temporal.group_context import Calibrator, ChannelGroups, UnusedNorm

NOTHING = slice(0, 0)


class Gate(nn.Module):
    """Gates of clips [b t c h w], with axes of length 1 where they do not vary."""

    def __init__(self, calibrator: Calibrator) -> None:
        super().__init__()
        self.context = type(calibrator)({}, calibrator.num_frames)
        self.layers = nn.Sequential(*chained([*_layers(calibrator), nn.Sigmoid()]))

    def forward(self, clip: Tensor) -> Tensor:
        """The gate in (0, 1)."""
        return self.context.spread(self.layers(self.context.context(clip)), clip)


class Gates(nn.Module):
    """Frames [b*t c h w], each gate in charge of its channels: the form of `ChannelGroups`."""

    def __init__(
        self, groups: Sequence[slice], calibrators: Sequence[Calibrator], zeros: slice
    ) -> None:
        super().__init__()
        self.groups, self.zeros = groups, zeros
        self.gates = nn.ModuleList(map(Gate, calibrators))
        self.num_frames = calibrators[0].num_frames

    def forward(self, x: Tensor, *, overwrite: bool = False) -> Tensor:
        """Frames [b*t c h w] -> the same shape; `overwrite` says that `x` may be written over."""
        y = x if overwrite else x.clone()
        clip = unfold_time(y, self.num_frames)
        for channels, gate in zip(self.groups, self.gates, strict=True):
            group = clip[:, :, channels]
            group *= gate(group)
        clip[:, :, self.zeros] = 0
        return y

    def extra_repr(self) -> str:
        """What `print` shows."""
        return ", ".join(f"{group.start}:{group.stop}" for group in self.groups)


class GatedConvolution(nn.Module):
    """A convolution, and gates of what it gives."""

    def __init__(self, convolution: Convolution, gates: Gates) -> None:
        super().__init__()
        self.convolution, self.gates = convolution, gates

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*t c' h' w']."""
        y: Tensor = self.gates(self.convolution(x), overwrite=True)
        return y


@fuses(ChannelGroups)
def _(module: ChannelGroups) -> nn.Module:
    calibrators = [calibrator for calibrator in module if isinstance(calibrator, Calibrator)]
    firsts = [(module.first + i) % module.cdiv * module.width for i in range(len(calibrators))]
    groups = [slice(first, first + module.width) for first in firsts]
    zeros = slice(module.cdiv * module.width, None) if module.zero_tail else NOTHING
    return Gates(groups, calibrators, zeros)


@fuses(Calibrator)
def _(calibrator: Calibrator) -> nn.Module:
    return Gates([slice(None)], [calibrator], NOTHING)


@fuses(UnusedNorm)
def _(_: UnusedNorm) -> nn.Module:
    return nn.Identity()


@joins(Convolution, Gates)
def _(convolution: Convolution, gates: Gates) -> nn.Module:
    return GatedConvolution(convolution, gates)


def _layers(calibrator: Calibrator) -> list[nn.Module]:
    """Its layers, norms behind matrices within them."""
    layers: list[nn.Module] = []
    for layer in calibrator:
        linear = layers[-1] if layers else None
        if isinstance(layer, nn.BatchNorm1d) and isinstance(linear, nn.Linear):
            weight, bias = folded(linear.weight, linear.bias, layer)
            linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
        else:
            layers.append(layer)
    return layers
