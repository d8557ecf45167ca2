"""2-D convolutions with the norm, the sum and the activation behind them.

    y = act(conv(x; w s, (b - mean) s + beta) [+ plus]),   s = gamma / sqrt(var + eps)

In evaluation a batch norm is a scale and a shift of each channel, which the filters take over. They
are computed in float64, so that only the result is rounded.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from marey.models.fused.forms import fuses, joins
from marey.models.fused.pointwise import Activation, Steps, convolve, pack, takes

Folded: TypeAlias = tuple[Tensor, Tensor]

_NAMES: dict[type[nn.Module], Activation] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.Sigmoid: "sigmoid",
}


class Convolution(nn.Module):
    """Maps [n c h w], filtered, in channels-last memory; a sum and an activation cost nothing.

    On a CPU the filters are kept a second time, as oneDNN reads them.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, steps: Steps, activation: Activation = "none"
    ) -> None:
        super().__init__()
        weight = weight.detach().contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.steps, self.activation = steps, activation
        self._packed: Tensor | None = None

    def forward(self, x: Tensor, plus: Tensor | None = None, *, overwrite: bool = False) -> Tensor:
        """Maps [n c h w] -> [n c' h' w'], `plus` added before the activation (`convolve`)."""
        weight: Tensor = self.weight
        if takes(x, weight):
            if self._packed is None:
                self._packed = pack(weight, self.steps, x.shape)
            weight = self._packed
        return convolve(
            x, weight, self.bias, self.steps, self.activation, plus, overwrite=overwrite
        )

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._packed = None  # the weights move, or change their type
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]

    def __getstate__(self) -> dict[str, Any]:
        """All but the packed filters, which can be neither copied nor stored."""
        return self.__dict__ | {"_packed": None}

    def extra_repr(self) -> str:
        """What `print` shows."""
        out, into, *kernel = self.weight.shape
        into *= self.steps.groups
        return f"{into}, {out}, {tuple(kernel)}, {self.steps}, activation={self.activation}"


def folded(weight: Tensor, bias: Tensor | None, norm: _BatchNorm) -> Folded:
    """Weight [c ...] and bias [c] of a layer that does what `norm` does behind it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    before = 0 if bias is None else bias.double()
    shift = (before - norm.running_mean.double()) * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    by_filter = scale.view(-1, *[1] * (weight.ndim - 1))
    return (weight.double() * by_filter).to(weight.dtype), shift.to(weight.dtype)


@fuses(nn.Conv2d)
def _(conv: nn.Conv2d) -> nn.Module:
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return conv
    (stride, padding, dilation) = (_pair(n) for n in (conv.stride, conv.padding, conv.dilation))
    return Convolution(conv.weight, conv.bias, Steps(stride, padding, dilation, conv.groups))


@joins(Convolution, nn.BatchNorm2d)
def _(conv: Convolution, norm: nn.BatchNorm2d) -> nn.Module | None:
    if conv.activation != "none" or norm.running_mean is None:
        return None
    return Convolution(*folded(conv.weight, conv.bias, norm), conv.steps)


@joins(nn.Conv1d, nn.BatchNorm1d)
def _(conv: nn.Conv1d, norm: nn.BatchNorm1d) -> nn.Module | None:
    if norm.running_mean is None:
        return None
    weight, bias = folded(conv.weight, conv.bias, norm)
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
    return conv


@joins(Convolution, nn.ReLU)
@joins(Convolution, nn.ReLU6)
@joins(Convolution, nn.Sigmoid)
def _(conv: Convolution, activation: nn.Module) -> nn.Module | None:
    if conv.activation != "none":
        return None
    return Convolution(conv.weight, conv.bias, conv.steps, _NAMES[type(activation)])


def _pair(numbers: tuple[int, ...]) -> tuple[int, int]:
    height, width = numbers
    return height, width
