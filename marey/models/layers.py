"""Layers that several encoders share."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def conv(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
    padded: bool = True,
) -> nn.Conv2d:
    """A convolution that keeps the map's size (at stride 1, `padded`), started as torchvision's.

    The start is Kaiming's for ReLU over the fan out (arXiv 1502.01852).
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (height // 2, width // 2) if padded else 0
    layer = nn.Conv2d(
        in_channels, out_channels, (height, width), stride, padding, groups=groups, bias=bias
    )
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def norms_that_learn(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms that are in training mode and keep statistics."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.training and module.running_mean is not None
    ]
