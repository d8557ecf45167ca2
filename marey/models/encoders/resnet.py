"""ResNet and ResNeXt as encoders (arXiv 1512.03385, 1611.05431), with torchvision's key names.

The stride is on the 3x3 convolution (torchvision's "v1.5"). A state dict of torchvision, less its
``fc``, loads unchanged; temporal ops add keys of their own (see `marey.models.sites`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from torch import Tensor, nn

from marey.models.encoder import MapsEncoder
from marey.models.layers import conv
from marey.models.layout import fold_time
from marey.models.sites import SITES, Block, ResidualBlock, Site, TemporalOp, numbered, site_modules
from marey.types import Clip, check_choices, check_counts

DEPTHS: Mapping[int, tuple[int, ...]] = {
    18: (2, 2, 2, 2),
    26: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
BASIC = (18, 34)
"""Depths whose blocks are basic, not bottlenecks."""


@dataclass(frozen=True)
class ResNetSpec:
    """ResNet-18 to -152; ResNeXt-50 32x4d is `ResNetSpec(50, groups=32, width_per_group=4)`.

    `in_channels` is 3 for pictures and 10 for five stacked (x, y) flow fields. The stem makes
    `channels`, and each stage its multiple of them: 16 is a quarter of the published width, for
    small pictures and quick looks. ResNet-26 has bottlenecks where ResNet-18 has basic blocks.
    """

    depth: int = 50
    groups: int = 1
    width_per_group: int = 64
    in_channels: int = 3
    channels: int = 64

    frames_per_segment: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_choices(self)
        if self.depth not in DEPTHS:
            raise ValueError(f"depth is {self.depth}, expected one of {tuple(DEPTHS)}")
        check_counts(groups=self.groups, width_per_group=self.width_per_group)
        check_counts(in_channels=self.in_channels, channels=self.channels)
        if self.depth in BASIC and (self.groups, self.width_per_group) != (1, 64):
            raise ValueError(f"ResNet-{self.depth} has no grouped form: its blocks are basic")

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> ResNet:
        """The encoder with `temporal` placed in its blocks, for clips of `num_segments` frames."""
        return ResNet(self, temporal, num_segments)

    def first_conv(self, num_frames: int) -> nn.Module:  # noqa: ARG002
        """The convolution of the stem, for clips of `num_frames`."""
        return conv(self.in_channels, self.channels, 7, stride=2)

    def first_pool(self) -> nn.Module:
        """What stands behind the stem."""
        return nn.MaxPool2d(3, stride=2, padding=1)

    @property
    def block_type(self) -> type[Bottleneck] | type[BasicBlock]:
        """The kind of block."""
        return BasicBlock if self.depth in BASIC else Bottleneck

    def blocks(self, temporal: Sequence[TemporalOp], num_frames: int) -> list[Block]:
        """Every residual block in order, as plain data."""
        return numbered(self._blocks(), temporal, num_frames)

    def _blocks(self) -> Iterator[Block]:
        channels = self.channels
        for stage, depth in enumerate(DEPTHS[self.depth]):
            planes = self.channels * 2**stage
            for index in range(depth):
                yield Block(
                    kind=self.block_type.__name__,
                    stage=stage,
                    in_channels=channels,
                    mid_channels=planes * self.width_per_group // 64 * self.groups,
                    out_channels=planes * self.block_type.expansion,
                    stride=2 if stage > 0 and index == 0 else 1,
                    groups=self.groups,
                    sites=self.block_type.sites,
                )
                channels = planes * self.block_type.expansion


class ResNet(MapsEncoder):
    """Frame features of clips: [b t c h w] -> [b t' d]; t' < t where time is pooled."""

    def __init__(self, spec: ResNetSpec, temporal: Sequence[TemporalOp], num_frames: int) -> None:
        super().__init__()
        blocks = spec.blocks(temporal, num_frames)
        sites = site_modules(temporal, blocks)
        self.conv1 = spec.first_conv(num_frames)
        self.bn1 = nn.BatchNorm2d(spec.channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = spec.first_pool()
        self.layer1, self.layer2, self.layer3, self.layer4 = stages(spec.block_type, blocks, sites)
        self.num_frames = blocks[-1].num_frames
        self.num_features = blocks[-1].out_channels

    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*t' d h' w'] of clips [b t c h w]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(fold_time(clip)))))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return maps


class _ShortcutBlock(ResidualBlock):
    expansion: ClassVar[int]
    sites: ClassVar[tuple[Site, ...]]

    def __init__(
        self, block: Block, sites: Mapping[Site, nn.Module], *, bias: bool = False
    ) -> None:
        super().__init__(self.layers(block, bias=bias), sites)

    @staticmethod
    @abstractmethod
    def layers(block: Block, *, bias: bool) -> dict[str, nn.Module]:
        raise NotImplementedError


class Bottleneck(_ShortcutBlock):
    """1x1, 3x3, 1x1 convolutions: every site."""

    expansion = 4
    sites = SITES
    steps: ClassVar[tuple[str, ...]] = (
        "residual_in",
        *("conv1", "bn1", "after_bn1", "relu", "after_relu1"),
        *("conv2", "after_conv2", "bn2", "after_bn2", "relu"),
        *("conv3", "bn3", "residual_out"),
    )

    @staticmethod
    def layers(block: Block, *, bias: bool) -> dict[str, nn.Module]:
        """What the block has of its own, without ops."""
        mid, out = block.mid_channels, block.out_channels
        return {
            "conv1": conv(block.in_channels, mid, 1, bias=bias),
            "bn1": nn.BatchNorm2d(mid),
            "relu": nn.ReLU(inplace=True),
            "conv2": conv(mid, mid, 3, stride=block.stride, groups=block.groups, bias=bias),
            "bn2": nn.BatchNorm2d(mid),
            "conv3": conv(mid, out, 1, bias=bias),
            "bn3": nn.BatchNorm2d(out),
            **_downsample(block, bias=bias),
        }


class BasicBlock(_ShortcutBlock):
    """Two 3x3 convolutions: there is no middle one, so no conv2, after_conv2 or after_bn2 site."""

    expansion = 1
    sites = tuple(site for site in SITES if site not in ("conv2", "after_conv2", "after_bn2"))
    steps: ClassVar[tuple[str, ...]] = (
        "residual_in",
        *("conv1", "bn1", "after_bn1", "relu", "after_relu1"),
        *("conv2", "bn2", "residual_out"),
    )

    @staticmethod
    def layers(block: Block, *, bias: bool) -> dict[str, nn.Module]:
        """What the block has of its own, without ops."""
        mid, out = block.mid_channels, block.out_channels
        return {
            "conv1": conv(block.in_channels, mid, 3, stride=block.stride, bias=bias),
            "bn1": nn.BatchNorm2d(mid),
            "relu": nn.ReLU(inplace=True),
            "conv2": conv(mid, out, 3, bias=bias),
            "bn2": nn.BatchNorm2d(out),
            **_downsample(block, bias=bias),
        }


def stages(
    block_type: type[Bottleneck] | type[BasicBlock],
    blocks: Sequence[Block],
    sites: Sequence[Mapping[Site, nn.Module]],
    *,
    bias: bool = False,
) -> Iterator[nn.Sequential]:
    """The blocks as modules, a stage at a time; `bias` gives one to each convolution."""
    placed = zip(blocks, sites, strict=True)
    for _, stage in groupby(placed, key=lambda pair: pair[0].stage):
        yield nn.Sequential(*(block_type(block, modules, bias=bias) for block, modules in stage))


def _downsample(block: Block, *, bias: bool) -> dict[str, nn.Module]:
    if block.stride == 1 and block.in_channels == block.out_channels:
        return {}
    shortcut = nn.Sequential(
        conv(block.in_channels, block.out_channels, 1, stride=block.stride, bias=bias),
        nn.BatchNorm2d(block.out_channels),
    )
    return {"downsample": shortcut}
