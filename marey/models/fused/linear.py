"""Linear layers in one call of oneDNN with the GELU behind them, and patches as a linear layer."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from marey.models.fused.forms import fuses, joins
from marey.models.fused.pointwise import project
from marey.models.layout import split_axis


class Projection(nn.Linear):
    """Vectors [... d] -> [... d']: the form of a linear layer."""

    def __init__(self, layer: nn.Linear, activation: Literal["none", "gelu"] = "none") -> None:
        nn.Module.__init__(self)  # the weights are there already
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias, self.activation = layer.weight, layer.bias, activation

    def forward(self, input: Tensor) -> Tensor:
        """Vectors [... d'] of vectors [... d]."""
        return project(input, self.weight, self.bias, self.activation)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{super().extra_repr()}, activation={self.activation}"


class Patches(nn.Module):
    """The form of a 3-D convolution that meets each pixel once: a product of matrices."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.size = conv.kernel_size
        self.weight, self.bias = nn.Parameter(conv.weight.detach().flatten(1)), conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """Maps [b d t' h' w'] of clips [b c t h w]; what is left over at the ends has no patch."""
        for axis, size in enumerate(self.size, 2):
            count = x.shape[2 * axis - 2] // size
            x = x.narrow(2 * axis - 2, 0, count * size)
            x = split_axis(x, 2 * axis - 2, count, size)
        patches = x.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)  # [b t' h' w' c*t*h*w]
        return project(patches, self.weight, self.bias).permute(0, 4, 1, 2, 3)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{len(self.weight)} features of {self.size}"


@fuses(nn.Linear)
def _(layer: nn.Linear) -> nn.Module:
    return Projection(layer)


@joins(Projection, nn.GELU)
def _(layer: Projection, gelu: nn.GELU) -> nn.Module | None:
    if layer.activation != "none" or gelu.approximate != "none":
        return None
    return Projection(layer, "gelu")


@fuses(nn.Conv3d)
def _(conv: nn.Conv3d) -> nn.Module:
    in_patches = conv.stride == conv.kernel_size != (1, 1, 1)
    whole = {*conv.dilation, conv.groups} == {1} and conv.padding in ((0, 0, 0), "valid")
    return Patches(conv) if in_patches and whole else conv
