"""BN-Inception (arXiv 1502.03167) as a frame encoder: the network of TSN, and TSM's default.

    conv1 7x7/2 - pool - conv2 1x1, 3x3 - pool - 3a 3b 3c - 4a .. 4e - 5a 5b

A block has branches 1x1, 3x3, double 3x3 and a pooling with a 1x1 convolution behind it; 3c and 4e
halve the map, have no 1x1 branch and let the pooled map through. Convolutions have biases, which
their batch norms make idle but weight files have. `ours` gives the names of pretrainedmodels'
file (``inception_3a_1x1.weight``), which Caffe trained: it takes the channels blue first, from 0 to
255, less their means 104, 117 and 128, so that recipes say ``channel_order: bgr`` and a deviation
of 1/255 (`MEAN`, `STD`).

temporal-shift-module shifts what goes into the second convolution and into each of the ten blocks,
``TSM(place="block_in")``. Its other placement adds a block to what went in, which fits five of the
twelve by their widths; it is not here.

**Deviates**: upstream takes pictures whose maps are even in front of 3c and 4e (of 224 pixels, not
of 240), since its pooling gives a row less than its convolutions else. Here any may be taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoders.inception import (
    InceptionBlock,
    InceptionSpec,
    Part,
    Rename,
    conv_norm,
    planned,
    row,
)
from marey.models.sites import Block

EPS = 1e-5
MEAN, STD = (104 / 255, 117 / 255, 128 / 255), (1 / 255, 1 / 255, 1 / 255)
"""Of pixels from 0 to 1, for the channels blue, green, red."""


class Row(NamedTuple):
    """Channels of a block: of its branches, and inside two of them.

    Where `one` is 0 the block halves the map; where `pool` is 0 the pooled map is let through.
    """

    one: int
    three_in: int
    three: int
    double_in: int
    double: int
    pool: int

    def out(self, into: int) -> int:
        """Channels that the block gives, of as many as go `into` it."""
        return self.one + self.three + self.double + (self.pool or into)


TABLE: Mapping[str, Row] = {
    "3a": Row(64, 64, 64, 64, 96, 32),
    "3b": Row(64, 64, 96, 64, 96, 64),
    "3c": Row(0, 128, 160, 64, 96, 0),
    "4a": Row(224, 64, 96, 96, 128, 128),
    "4b": Row(192, 96, 128, 96, 128, 128),
    "4c": Row(160, 128, 160, 128, 160, 128),
    "4d": Row(96, 128, 192, 160, 192, 128),
    "4e": Row(0, 128, 192, 192, 256, 0),
    "5a": Row(352, 192, 320, 160, 224, 128),
    "5b": Row(352, 192, 320, 192, 224, 128),
}
"""Blocks pool by the mean, those that halve the map and 5b by the maximum."""


@dataclass(frozen=True)
class BNInceptionSpec(InceptionSpec):
    """BN-Inception; its stem makes `channels`, and every layer its multiple of them.

    `in_channels` is 10 for five stacked (x, y) flow fields.
    """

    in_channels: int = 3
    channels: int = 64

    least_size: ClassVar[int] = 7

    @property
    def rename(self) -> Rename:
        """pretrainedmodels' names."""
        return ours

    def widths(self, name: str) -> Row:
        """The channels of a block of `TABLE`."""
        return Row(*(self.scaled(width) for width in TABLE[name]))

    def _blocks(self) -> Iterator[Block]:
        stem, channels = self.scaled(64), self.scaled(192)
        yield planned("stem", 0, self.in_channels, stem, is_stem=True)
        yield planned("stem", 0, stem, channels)
        for name in TABLE:
            out = self.widths(name).out(channels)
            yield planned("InceptionBlock", int(name[0]) - 2, channels, out)
            channels = out

    def _parts(self, blocks: Sequence[Block]) -> dict[str, Part]:
        conv1, conv2, *inception = blocks
        reduced = self.scaled(64)
        stem = {
            "conv3x3_reduce": row(_conv(conv2.in_channels, reduced)),
            "conv3x3": row(_conv(reduced, conv2.out_channels, 3)),
        }
        parts: dict[str, Part] = {
            "conv1": partial(row, _conv(conv1.in_channels, conv1.out_channels, 7, stride=2)),
            "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
            "conv2": partial(row, stem),
            "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        }
        for name, block in zip(TABLE, inception, strict=True):
            pools_by = nn.MaxPool2d if name == "5b" else nn.AvgPool2d
            branches = _branches(self.widths(name), block.in_channels, pools_by)
            parts[f"inception_{name}"] = partial(InceptionBlock, branches)
        return parts


class HalvingPool(nn.Module):
    """The maximum over windows of 3x3, every second one: as large as a 3x3/2 convolution gives."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n c h w] -> [n c ceil(h/2) ceil(w/2)]."""
        height, width = x.shape[2:]
        if height % 2 or width % 2:  # one row more repeats the last, so that no maximum changes
            x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        return F.max_pool2d(x, 3, stride=2, ceil_mode=True)


def _branches(
    width: Row, into: int, pools_by: type[nn.MaxPool2d] | type[nn.AvgPool2d]
) -> dict[str, nn.Module]:
    halves = not width.one
    stride = 2 if halves else 1
    branches: dict[str, nn.Module] = {} if halves else {"conv1x1": row(_conv(into, width.one))}
    pool = HalvingPool() if halves else pools_by(3, stride=1, padding=1)
    three = {
        "reduce": row(_conv(into, width.three_in)),
        "conv": row(_conv(width.three_in, width.three, 3, stride=stride)),
    }
    double = {
        "reduce": row(_conv(into, width.double_in)),
        "1": row(_conv(width.double_in, width.double, 3)),
        "2": row(_conv(width.double, width.double, 3, stride=stride)),
    }
    last = {"pool": pool} | ({"proj": row(_conv(into, width.pool))} if width.pool else {})
    return branches | {"conv3x3": row(three), "double_3x3": row(double), "pool": row(last)}


def _conv(into: int, out: int, kernel: int = 1, *, stride: int = 1) -> dict[str, nn.Module]:
    return conv_norm(into, out, kernel, stride=stride, bias=True, eps=EPS)


def ours(name: str) -> str | None:
    """The name here of a tensor of pretrainedmodels' network, and of temporal-shift-module's.

    None for its classifier.

    >>> ours("inception_3a_double_3x3_reduce_bn.weight")
    'inception_3a.double_3x3.reduce.bn.weight'
    """
    if name.startswith(("last_linear.", "fc.")):
        return None
    layer, _, leaf = name.rpartition(".")
    kind = "bn" if layer.endswith("_bn") else "conv"
    layer = layer.removesuffix("_bn")
    for pattern, path in _NAMES:
        if match := re.fullmatch(pattern, layer):
            return f"{match.expand(path)}.{kind}.{leaf}"
    return name


_NAMES = (
    ("conv1_7x7_s2", "conv1"),
    (r"conv2_(3x3(?:_reduce)?)", r"conv2.conv\1"),
    (r"(inception_\d\w)_1x1", r"\1.conv1x1"),
    (r"(inception_\d\w)_3x3", r"\1.conv3x3.conv"),
    (r"(inception_\d\w)_3x3_reduce", r"\1.conv3x3.reduce"),
    (r"(inception_\d\w)_double_3x3_(reduce|1|2)", r"\1.double_3x3.\2"),
    (r"(inception_\d\w)_pool_proj", r"\1.pool.proj"),
)
