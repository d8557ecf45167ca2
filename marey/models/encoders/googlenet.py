"""GoogLeNet, Inception v1 (arXiv 1409.4842), as a frame encoder with torchvision's key names.

    conv1 7x7/2 - pool - conv2 1x1 - conv3 3x3 - pool - 3a 3b - pool - 4a .. 4e - pool - 5a 5b

Convolutions have batch norms, as in torchvision, whose ported weights have 3x3 filters in the
branch that the paper gives 5x5. action-recognition-pytorch calls it inception_v1 and stands a TAM
behind each of its twelve parts, ``TAM(place="block_out")``; its temporal strides stand in front of
3a, 4a and 5a, `TemporalPool(1)` to `TemporalPool(3)`. Stage 0 are the stem's three convolutions.

**Deviates**: the two classifiers that torchvision trains beside the last one are not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar, NamedTuple

from torch import nn

from marey.models.encoders.inception import (
    InceptionBlock,
    InceptionSpec,
    Part,
    Rename,
    conv_norm,
    planned,
    row,
)
from marey.models.sites import AROUND, Block, Site


class Row(NamedTuple):
    """Channels of a block: of its four branches, and inside two of them, as the paper's table 1."""

    one: int
    three_in: int
    three: int
    five_in: int
    five: int
    pool: int

    @property
    def out(self) -> int:
        """Channels that the block gives."""
        return self.one + self.three + self.five + self.pool


TABLE: Mapping[str, Row] = {
    "3a": Row(64, 96, 128, 16, 32, 32),
    "3b": Row(128, 128, 192, 32, 96, 64),
    "4a": Row(192, 96, 208, 16, 48, 64),
    "4b": Row(160, 112, 224, 24, 64, 64),
    "4c": Row(128, 128, 256, 24, 64, 64),
    "4d": Row(112, 144, 288, 32, 64, 64),
    "4e": Row(256, 160, 320, 32, 128, 128),
    "5a": Row(256, 160, 320, 32, 128, 128),
    "5b": Row(384, 192, 384, 48, 128, 128),
}


@dataclass(frozen=True)
class GoogLeNetSpec(InceptionSpec):
    """GoogLeNet; its stem makes `channels`, and every layer its multiple of them."""

    in_channels: int = 3
    channels: int = 64

    sites: ClassVar[tuple[Site, ...]] = AROUND
    least_size: ClassVar[int] = 15

    @property
    def rename(self) -> Rename:
        """torchvision's names."""
        return ours

    def first_conv(self, num_frames: int) -> dict[str, nn.Module]:  # noqa: ARG002
        """The layers of the stem's first convolution, for clips of `num_frames`."""
        return conv_norm(self.in_channels, self.scaled(64), 7, stride=2)

    def wide_conv(self, into: int, out: int, num_frames: int) -> dict[str, nn.Module]:  # noqa: ARG002
        """The layers of a 3x3 convolution."""
        return conv_norm(into, out, 3)

    def pool(self, number: int, num_frames: int) -> nn.Module:  # noqa: ARG002
        """The pooling number 1 to 4, of clips of `num_frames`; 2 to 4 stand before a stage."""
        return nn.MaxPool2d(2 if number == 4 else 3, stride=2, ceil_mode=True)

    def branch_pool(self, num_frames: int) -> nn.Module:  # noqa: ARG002
        """The pooling of a block's last branch."""
        return nn.MaxPool2d(3, stride=1, padding=1)

    def widths(self, name: str) -> Row:
        """The channels of a block of `TABLE`."""
        return Row(*(self.scaled(width) for width in TABLE[name]))

    def _blocks(self) -> Iterator[Block]:
        stem = (self.in_channels, self.scaled(64), self.scaled(64), self.scaled(192))
        sites = self.sites
        for number, (into, out) in enumerate(pairwise(stem)):
            yield planned("stem", 0, into, out, is_stem=number == 0, sites=sites)
        channels = stem[-1]
        for name in TABLE:
            out = self.widths(name).out
            yield planned("InceptionBlock", int(name[0]) - 2, channels, out, sites=sites)
            channels = out

    def _parts(self, blocks: Sequence[Block]) -> dict[str, Part]:
        conv1, conv2, conv3, *inception = blocks
        frames = conv1.num_frames
        parts: dict[str, Part] = {
            "conv1": partial(row, self.first_conv(conv1.num_frames_in)),
            "maxpool1": self.pool(1, frames),
            "conv2": partial(row, conv_norm(conv2.in_channels, conv2.out_channels)),
            "conv3": partial(row, self.wide_conv(conv3.in_channels, conv3.out_channels, frames)),
        }
        for name, block in zip(TABLE, inception, strict=True):
            if block.index == 0:
                parts[f"maxpool{block.stage + 1}"] = self.pool(block.stage + 1, frames)
                frames = block.num_frames
            parts[f"inception{name}"] = partial(InceptionBlock, self._branches(name, block))
        return parts

    def _branches(self, name: str, block: Block) -> dict[str, nn.Module]:
        width, into, frames = self.widths(name), block.in_channels, block.num_frames
        return {
            "branch1": row(conv_norm(into, width.one)),
            "branch2": nn.Sequential(
                row(conv_norm(into, width.three_in)),
                row(self.wide_conv(width.three_in, width.three, frames)),
            ),
            "branch3": nn.Sequential(
                row(conv_norm(into, width.five_in)),
                row(self.wide_conv(width.five_in, width.five, frames)),
            ),
            "branch4": nn.Sequential(self.branch_pool(frames), row(conv_norm(into, width.pool))),
        }


def ours(name: str) -> str | None:
    """torchvision's name of a tensor; None for the classifiers that train beside the last one."""
    return None if name.startswith(("aux1.", "aux2.")) else name
