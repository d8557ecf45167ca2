"""Modules that have shapes and no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextmanager
def shapes_only() -> Iterator[None]:
    """What is built inside lies on the meta device, and nothing is drawn for it.

    To draw there what is not kept takes four times as long as all else, and the first time torch
    loads its compiler for it, which takes a second.

    >>> with shapes_only():
    ...     layer = torch.nn.Linear(4096, 4096)
    >>> layer.weight.shape, layer.weight.device
    (torch.Size([4096, 4096]), device(type='meta'))
    """
    with torch.device("meta"), nothing_drawn():
        yield


@contextmanager
def nothing_drawn() -> Iterator[None]:
    """What is built inside has weights that mean nothing: those of a file are put in their place.

    To draw the weights of a ResNet-50 takes as long as to read a file of them.
    """
    with _NothingDrawn():
        yield


class _NothingDrawn(TorchFunctionMode):
    """Leaves tensors as they are where `torch.nn.init` fills them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func is Tensor.normal_:
            return _at_mean(*args, **kwargs)
        return func(*args, **kwargs)


def _at_mean(tensor: Tensor, mean: float = 0.0, *_: object, **__: object) -> Tensor:
    """`tensor`, every number the mean of what was to be drawn.

    As it is it may hold anything, and `trunc_normal_` draws until all numbers are within bounds.
    """
    return tensor.fill_(mean)
