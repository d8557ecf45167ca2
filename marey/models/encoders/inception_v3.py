"""Inception v3 (arXiv 1512.00567) as a frame encoder, which starts from torchvision's weights.

    five convolutions, two poolings - 5b 5c 5d - 6a .. 6e - 7a 7b 7c

Blocks are of five kinds: 5x5 and double 3x3 filters (5b to 5d), factorised 7x7 ones (6b to 6e),
forked ones (7b, 7c), and two that halve the map (6a, 7a). The network was trained on pictures of
299 pixels and takes any from 75 on; its weights were ported from TensorFlow, with pixels from -1 to
1, a mean and deviation of 0.5.

TSN trained on it (tsn-pytorch). temporal-shift-module does not build it: a shift in front of its
blocks, ``TSM(place="block_in")``, follows what that code does in BN-Inception and no published
model. Layers that torchvision has side by side in a block lie in their branch here
(``Mixed_5b.branch5x5_2`` is ``Mixed_5b.branch5x5.1``): `ours` gives the names.

**Deviates**: the classifier that torchvision trains behind 6e is not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

from torch import nn

from marey.models.encoders.inception import (
    Fork,
    InceptionBlock,
    InceptionSpec,
    Part,
    Rename,
    conv_norm,
    planned,
    row,
)
from marey.models.sites import Block

BLOCKS: Mapping[str, int] = {
    **dict.fromkeys(("5b", "5c", "5d"), 1),
    **dict.fromkeys(("6a", "6b", "6c", "6d", "6e"), 2),
    **dict.fromkeys(("7a", "7b", "7c"), 3),
}
"""Block -> its stage, where the stem is 0."""


class Layer(NamedTuple):
    """A convolution of a branch: its channels, its filters, and whether it halves the map.

    A forked one is two, of 1x3 and of 3x1 filters, with so many channels each.
    """

    out: int
    kernel: int | tuple[int, int] = 1
    halves: bool = False
    forked: bool = False


_WIDE, _HIGH = (1, 7), (7, 1)
_FORK = Layer(384, 3, forked=True)


def _five(pooled: int) -> dict[str, list[Layer]]:
    double = [Layer(64), Layer(96, 3), Layer(96, 3)]
    return {
        "branch1x1": [Layer(64)],
        "branch5x5": [Layer(48), Layer(64, 5)],
        "branch3x3dbl": double,
        "branch_pool": [Layer(pooled)],
    }


def _seven(inside: int) -> dict[str, list[Layer]]:
    high, wide = Layer(inside, _HIGH), Layer(inside, _WIDE)
    return {
        "branch1x1": [Layer(192)],
        "branch7x7": [Layer(inside), wide, Layer(192, _HIGH)],
        "branch7x7dbl": [Layer(inside), high, wide, high, Layer(192, _WIDE)],
        "branch_pool": [Layer(192)],
    }


_FORKED = {
    "branch1x1": [Layer(320)],
    "branch3x3": [Layer(384), _FORK],
    "branch3x3dbl": [Layer(448), Layer(384, 3), _FORK],
    "branch_pool": [Layer(192)],
}
BRANCHES: Mapping[str, Mapping[str, Sequence[Layer]]] = {
    "5b": _five(32),
    "5c": _five(64),
    "5d": _five(64),
    "6a": {
        "branch3x3": [Layer(384, 3, halves=True)],
        "branch3x3dbl": [Layer(64), Layer(96, 3), Layer(96, 3, halves=True)],
        "branch_pool": [],
    },
    "6b": _seven(128),
    "6c": _seven(160),
    "6d": _seven(160),
    "6e": _seven(192),
    "7a": {
        "branch3x3": [Layer(192), Layer(320, 3, halves=True)],
        "branch7x7x3": [
            Layer(192),
            Layer(192, _WIDE),
            Layer(192, _HIGH),
            Layer(192, 3, halves=True),
        ],
        "branch_pool": [],
    },
    "7b": _FORKED,
    "7c": _FORKED,
}
"""The branches of each block, as in the tables of the paper and in torchvision's weights."""


@dataclass(frozen=True)
class InceptionV3Spec(InceptionSpec):
    """Inception v3; its stem makes `channels`, and every layer its multiple of them."""

    in_channels: int = 3
    channels: int = 32

    published_channels: ClassVar[int] = 32
    least_size: ClassVar[int] = 75

    @property
    def rename(self) -> Rename:
        """torchvision's names."""
        return ours

    def layers(self, name: str) -> dict[str, list[Layer]]:
        """The branches of a block, with the channels that they have in this network."""
        return {
            branch: [layer._replace(out=self.scaled(layer.out)) for layer in layers]
            for branch, layers in BRANCHES[name].items()
        }

    def out(self, name: str, into: int) -> int:
        """Channels that a block gives, of as many as go `into` it."""
        last = [layers[-1] if layers else Layer(into) for layers in self.layers(name).values()]
        return sum(layer.out * (1 + layer.forked) for layer in last)

    def _blocks(self) -> Iterator[Block]:
        yield planned("stem", 0, self.in_channels, self.scaled(32), is_stem=True)
        channels = self.scaled(192)
        for name, stage in BLOCKS.items():
            out = self.out(name, channels)
            yield planned("InceptionBlock", stage, channels, out)
            channels = out

    def _parts(self, blocks: Sequence[Block]) -> dict[str, Part]:
        stem, *inception = blocks
        first, c64, c80, c192 = (self.scaled(width) for width in (32, 64, 80, 192))
        conv1 = conv_norm(stem.in_channels, first, 3, stride=2, padded=False)
        parts: dict[str, Part] = {
            "Conv2d_1a_3x3": partial(row, conv1),
            "Conv2d_2a_3x3": row(conv_norm(first, first, 3, padded=False)),
            "Conv2d_2b_3x3": row(conv_norm(first, c64, 3)),
            "maxpool1": nn.MaxPool2d(3, stride=2),
            "Conv2d_3b_1x1": row(conv_norm(c64, c80)),
            "Conv2d_4a_3x3": row(conv_norm(c80, c192, 3, padded=False)),
            "maxpool2": nn.MaxPool2d(3, stride=2),
        }
        for name, block in zip(BLOCKS, inception, strict=True):
            branches = {
                branch: _branch(layers, block.in_channels, pooled=branch == "branch_pool")
                for branch, layers in self.layers(name).items()
            }
            parts[f"Mixed_{name}"] = partial(InceptionBlock, branches)
        return parts


def _branch(layers: Sequence[Layer], into: int, *, pooled: bool) -> nn.Module:
    """A branch: one layer as it is, several by their numbers, behind a pooling or not."""
    modules = []
    for layer in layers:
        modules.append(_fork(into, layer.out) if layer.forked else _conv(into, layer))
        into = layer.out
    if not pooled:
        return modules[0] if len(modules) == 1 else nn.Sequential(*modules)
    if not modules:
        return nn.MaxPool2d(3, stride=2)
    return row({"pool": nn.AvgPool2d(3, stride=1, padding=1), "proj": modules[0]})


def _conv(into: int, layer: Layer) -> nn.Sequential:
    stride = 2 if layer.halves else 1
    return row(conv_norm(into, layer.out, layer.kernel, stride=stride, padded=not layer.halves))


def _fork(into: int, out: int) -> Fork:
    return Fork(row(conv_norm(into, out, (1, 3))), row(conv_norm(into, out, (3, 1))))


def ours(name: str) -> str | None:
    """The name here of one of torchvision's tensors; None for the classifier behind 6e.

    >>> ours("Mixed_7b.branch3x3_2a.conv.weight")
    'Mixed_7b.branch3x3.1.a.conv.weight'
    """
    if name.startswith("AuxLogits."):
        return None
    name = name.replace(".branch_pool.", ".branch_pool.proj.")
    return re.sub(r"\.(branch\w+)_(\d)([ab]?)\.", _nested, name)


def _nested(match: re.Match[str]) -> str:
    branch, number, fork = match.groups()
    return f".{branch}.{int(number) - 1}." + (f"{fork}." if fork else "")
