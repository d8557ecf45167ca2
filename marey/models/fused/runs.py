"""Layers on a few maps at a time, so that what lies between them stays in the caches.

The wide maps of a block are written by one layer and read by the next one. Of eight frames of
112 x 112 they are 38 MB in MobileNetV2: more than caches hold, and more than an allocator keeps,
so that the system hands out this memory anew, page by page, each time. Of one frame they are 5 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, groupby, starmap

import torch
from torch import Tensor, nn

from marey.models.fused.convolution import Convolution
from marey.models.fused.forms import joins
from marey.models.fused.pointwise import takes

CACHED = 5 * 2**18
"""Numbers (5 MiB) of the widest maps of one turn, for each thread."""


class Run(nn.Module):
    """Convolutions one behind the other: maps [n c h w] -> [n c' h' w']."""

    def __init__(self, convolutions: Iterable[Convolution]) -> None:
        super().__init__()
        *first, last = convolutions
        self.first, self.last = nn.ModuleList(first), last

    def forward(self, x: Tensor, plus: Tensor | None = None, *, overwrite: bool = False) -> Tensor:
        """The maps, `plus` added before the last activation; `overwrite` is that of `convolve`."""
        layers = partial(self._whole, overwrite=overwrite)
        if plus is None:
            return by_few(layers, [x], self._widest(x))
        if not overwrite or len(turns := in_turns([x, plus], self._widest(x))) == 1:
            return by_few(layers, [x, plus], self._widest(x))
        for some in turns:  # each writes over its own maps of `plus`
            layers(*some)
        return plus

    def _whole(self, x: Tensor, plus: Tensor | None = None, *, overwrite: bool) -> Tensor:
        for layer in self.first:
            x = layer(x)
        y: Tensor = self.last(x, plus, overwrite=overwrite)
        return y

    def _widest(self, x: Tensor) -> int:
        """Numbers of the largest map between two layers."""
        cells, widest = x.shape[2] * x.shape[3], 0
        for layer in self.first:
            assert isinstance(layer, Convolution)
            down, across = layer.steps.stride
            cells //= down * across
            widest = max(widest, cells * len(layer.weight))
        return widest


class PooledConvolution(nn.Module):
    """A convolution and the pooling behind it: between them are the widest maps of a network."""

    def __init__(self, convolution: Convolution, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.convolution, self.pool = convolution, pool

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n c h w] -> [n c' h' w']."""
        down, across = self.convolution.steps.stride
        cells = x.shape[2] * x.shape[3] // (down * across)
        return by_few(self._whole, [x], cells * len(self.convolution.weight))

    def _whole(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(self.convolution(x))
        return pooled


@joins(Convolution, nn.MaxPool2d)
def _(convolution: Convolution, pool: nn.MaxPool2d) -> nn.Module:
    return PooledConvolution(convolution, pool)


def in_runs(forms: Iterable[nn.Module]) -> list[nn.Module]:
    """The same, convolutions that follow each other in a `Run`."""
    runs: list[nn.Module] = []
    for _, some in groupby(forms, key=lambda form: isinstance(form, Convolution)):
        layers = list(some)
        convolutions = [layer for layer in layers if isinstance(layer, Convolution)]
        runs += [Run(convolutions)] if len(convolutions) > 1 else layers
    return runs


def by_few(layers: Callable[..., Tensor], given: Sequence[Tensor], widest: int) -> Tensor:
    """layers(*given) of maps [n ...], in turns of which the widest maps are cached.

    `widest` is how many numbers they have of one of the n.
    """
    turns = in_turns(given, widest)
    if len(turns) == 1:
        return layers(*given)
    first = layers(*turns[0])
    shape = (len(given[0]), *first.shape[1:])
    out = torch.empty(shape, dtype=first.dtype, memory_format=torch.channels_last)
    start = 0
    for maps in chain([first], starmap(layers, turns[1:])):
        out[start : start + len(maps)] = maps
        start += len(maps)
    return out


def in_turns(given: Sequence[Tensor], widest: int) -> list[tuple[Tensor, ...]]:
    """The turns of `by_few`; it is one where a graph is recorded, and on a GPU."""
    # first of all whether a graph is recorded: asking for threads would break it in two
    if not takes(given[0], given[0]):
        return [tuple(given)]
    num_turns = -(-len(given[0]) * widest // (CACHED * torch.get_num_threads()))
    if num_turns <= 1:
        return [tuple(given)]
    return list(zip(*(x.tensor_split(min(num_turns, len(x))) for x in given), strict=True))
