"""A convolution, what is added to it, and its activation, in one call of oneDNN.

These are the operators of inductor's frozen graphs (``mkldnn::_convolution_pointwise``), called
without compiling: the map is written once, and 1x1 filters are faster than by ``conv2d`` even
alone. They are private to PyTorch, take CPU tensors only and have no gradient, so that wherever
they cannot be used the plain way stands in: this file is the only one that knows of them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Activation: TypeAlias = Literal["none", "relu", "relu6"]

# the names that oneDNN has for them, with their scalars
_NAMES: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}


class Steps(NamedTuple):
    """How a 2-D filter moves."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    steps: Steps,
    activation: Activation = "none",
    plus: Tensor | None = None,
) -> Tensor:
    """activation(conv(x) + bias + plus) of maps [n c h w]."""
    if not _in_one_call(x, weight):
        return convolve_plainly(x, weight, bias, steps, activation, plus)
    stride, padding, dilation, groups = steps
    moves, (name, scalars) = (padding, stride, dilation, groups), _NAMES[activation]
    operator = torch.ops.mkldnn._convolution_pointwise
    y: Tensor
    if plus is None:
        y = operator(x, weight, bias, *moves, name, scalars, "")
        return y
    behind = "relu" if activation == "relu" else None  # the only one that a sum may have
    y = operator.binary(x, plus, weight, bias, *moves, "add", 1.0, behind, [], "")
    return y.clamp_(0, 6) if activation == "relu6" else y


def convolve_plainly(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    steps: Steps,
    activation: Activation = "none",
    plus: Tensor | None = None,
) -> Tensor:
    """`convolve` in ordinary operators."""
    stride, padding, dilation, groups = steps
    y = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    if plus is not None:
        y += plus
    if activation == "none":
        return y
    return y.relu_() if activation == "relu" else y.clamp_(0, 6)


def _in_one_call(x: Tensor, weight: Tensor) -> bool:
    """Whether the operators take these tensors, and nothing asks for a graph of ordinary ones."""
    return bool(
        _EXIST
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and torch.backends.mkldnn.enabled
        and not (x.requires_grad and torch.is_grad_enabled())
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


_EXIST = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
)
