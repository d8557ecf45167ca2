"""A convolution or linear layer, what is added to it, and its activation, in one call of oneDNN.

These are the operators of inductor's frozen graphs (``mkldnn::_convolution_pointwise``), called
without compiling: the map is written once, and 1x1 filters are faster than by ``conv2d`` even
alone. `pack` puts filters into the order in which oneDNN reads them, which it would do anew in each
call. All of these are private to PyTorch, take CPU tensors only and have no gradient, so that
wherever they cannot be used the plain way stands in: this file is the only one that knows of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Activation: TypeAlias = Literal["none", "relu", "relu6", "sigmoid"]

# the names that oneDNN has for them, with their scalars
_NAMES: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
    "sigmoid": ("sigmoid", []),
}


FEW = 256
"""Vectors below which putting a matrix in oneDNN's order costs more than the product gains."""


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
    *,
    overwrite: bool = False,
) -> Tensor:
    """activation(conv(x) + bias + plus) of maps [n c h w].

    Args:
        x: maps.
        weight: filters [c' c/groups kh kw], or where `takes` says so also what `pack` made of them.
        bias: [c'].
        steps: how the filters move.
        activation: what comes last.
        plus: what is added, of the shape of the result.
        overwrite: whether the memory of `plus` may be used for the result, which is faster.
    """
    if not weight.is_mkldnn and not takes(x, weight):
        return convolve_plainly(x, weight, bias, steps, activation, plus)
    stride, padding, dilation, groups = steps
    filters = (weight, bias, padding, stride, dilation, groups)
    operators = torch.ops.mkldnn
    name, scalars = _NAMES[activation]
    y: Tensor
    if plus is None:
        y = operators._convolution_pointwise(x, *filters, name, scalars, "")
        return y
    behind = "relu" if activation == "relu" else None  # the only one that a sum may have
    if overwrite:
        add = operators._convolution_pointwise_.binary
        y = add(plus, x, *filters, "add", 1.0, behind, [], "")
    else:
        add = operators._convolution_pointwise.binary
        y = add(x, plus, *filters, "add", 1.0, behind, [], "")
    return y if activation in ("none", "relu") else _activated(y, activation)


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
    return _activated(y, activation)


def _activated(y: Tensor, activation: Activation) -> Tensor:
    """In the memory of `y`."""
    if activation == "none":
        return y
    if activation == "relu6":
        return y.clamp_(0, 6)
    return y.relu_() if activation == "relu" else y.sigmoid_()


def project(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: Literal["none", "gelu"] = "none"
) -> Tensor:
    """activation(x W' + b) of vectors [... d]."""
    if x[..., 0].numel() >= FEW and takes(x, weight):
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "none")
        return y
    y = F.linear(x, weight, bias)
    return F.gelu(y) if activation == "gelu" else y


def takes(x: Tensor, weight: Tensor) -> bool:
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


def pack(weight: Tensor, steps: Steps, shape: Sequence[int]) -> Tensor:
    """`weight` in oneDNN's order for maps of a `shape`, opaque; other shapes may be slower."""
    stride, padding, dilation, groups = steps
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, padding, stride, dilation, groups, shape
    )
    return packed


_EXIST = torch.backends.mkldnn.is_available() and all(  # type: ignore[no-untyped-call]
    hasattr(torch.ops.mkldnn, name)
    for name in (
        "_convolution_pointwise",
        "_convolution_pointwise_",
        "_reorder_convolution_weight",
        "_linear_pointwise",
    )
)
