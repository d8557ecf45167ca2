"""MobileNetV2 as a frame encoder (arXiv 1801.04381), with torchvision's key names.

    x -+- residual_in - expand 1x1, bn, after_bn1, relu6, after_relu1
       |    - [depthwise 3x3: conv2] - after_conv2 - bn - after_bn2 - relu6
       |    - project 1x1, bn - residual_out -+
       +- (stride 1, same width) ------------(+)- block_out

The first block does not expand and has no after_bn1 and after_relu1. A stage is a row of the
paper's table 2, 0 to 6.

**Deviates**: widths other than 1 are rounded as torchvision does (to the nearest multiple of 8, but
never below 90 %). temporal-shift-module rounds up and leaves the stem and the first block at their
full width: `rounding="up"`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import ClassVar, Literal

from torch import Tensor, nn

from marey.models.encoder import MapsEncoder
from marey.models.layers import conv
from marey.models.layout import fold_time
from marey.models.sites import SITES, Block, ResidualBlock, Site, TemporalOp, numbered, site_modules
from marey.types import Clip, check_choices, check_counts, check_numbers

# (expansion, output channels, blocks, stride of the first block), one row a stage
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


_WITHOUT_EXPANSION = tuple(site for site in SITES if site not in ("after_bn1", "after_relu1"))


@dataclass(frozen=True)
class MobileNetV2Spec:
    """MobileNetV2 of a width; `rounding` says how other widths than 1 become whole channels."""

    width: float = 1.0
    in_channels: int = 3
    rounding: Literal["nearest", "up"] = "nearest"

    frames_per_segment: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_choices(self)
        check_counts(in_channels=self.in_channels)
        check_numbers(above=0, width=self.width)

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> MobileNetV2:
        """The encoder with `temporal` placed in its blocks, for clips of `num_segments` frames."""
        return MobileNetV2(self, temporal, num_segments)

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return 32 if self.rounding == "up" else self._channels(32)

    @property
    def num_features(self) -> int:
        """Channels of the last convolution, never fewer than at width 1."""
        return self._channels(1280) if self.width > 1 else 1280

    def blocks(self, temporal: Sequence[TemporalOp], num_frames: int) -> list[Block]:
        """Every residual block in order, as plain data."""
        return numbered(self._blocks(), temporal, num_frames)

    def _blocks(self) -> Iterator[Block]:
        channels = self.stem_channels
        for stage, (expansion, full_width, depth, first_stride) in enumerate(ROWS):
            keep = self.rounding == "up" and expansion == 1
            out = full_width if keep else self._channels(full_width)
            for index in range(depth):
                stride = first_stride if index == 0 else 1
                yield Block(
                    kind="InvertedResidual",
                    stage=stage,
                    in_channels=channels,
                    mid_channels=channels * expansion,
                    out_channels=out,
                    stride=stride,
                    groups=channels * expansion,
                    has_skip=stride == 1 and channels == out,
                    sites=SITES if expansion > 1 else _WITHOUT_EXPANSION,
                )
                channels = out

    def _channels(self, full_width: int) -> int:
        exact = full_width * self.width
        if self.rounding == "up":
            return math.ceil(exact / 8) * 8
        nearest = max(8, int(exact + 4) // 8 * 8)
        return nearest if nearest >= 0.9 * exact else nearest + 8


class MobileNetV2(MapsEncoder):
    """Frame features of clips: [b t c h w] -> [b t' d]; t' < t where time is pooled."""

    def __init__(
        self, spec: MobileNetV2Spec, temporal: Sequence[TemporalOp], num_frames: int
    ) -> None:
        super().__init__()
        blocks = spec.blocks(temporal, num_frames)
        stem, last = spec.stem_channels, spec.num_features
        self.features = nn.Sequential(
            _conv_bn_relu(conv(spec.in_channels, stem, 3, stride=2), stem),
            *(
                InvertedResidual(block, modules)
                for block, modules in zip(blocks, site_modules(temporal, blocks), strict=True)
            ),
            _conv_bn_relu(conv(blocks[-1].out_channels, last, 1), last),
        )
        self.stages = [block.stage for block in blocks]
        self.num_frames = blocks[-1].num_frames
        self.num_features = spec.num_features

    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*t' d h' w'] of clips [b t c h w]."""
        maps: Tensor = self.features(fold_time(clip))
        return maps

    def blocks_by_stage(self) -> list[list[nn.Module]]:
        """Its blocks, by the rows of the paper's table."""
        runs = groupby(zip(self.stages, list(self.features)[1:-1], strict=True), key=itemgetter(0))
        return [[block for _, block in run] for _, run in runs]


class InvertedResidual(ResidualBlock):
    """Expand, filter each channel, project; added to the input where the shapes allow it."""

    steps = ("residual_in", "conv", "residual_out")
    ends = ("block_out",)

    def __init__(self, block: Block, sites: Mapping[Site, nn.Module]) -> None:
        mid, out = block.mid_channels, block.out_channels
        layers: list[nn.Module] = []
        if mid != block.in_channels:
            expand = conv(block.in_channels, mid, 1)
            layers.append(_conv_bn_relu(expand, mid, sites, _EXPAND))
        depthwise = conv(mid, mid, 3, stride=block.stride, groups=mid)
        layers.append(_conv_bn_relu(sites.get("conv2", depthwise), mid, sites, _DEPTHWISE))
        layers += [conv(mid, out, 1), nn.BatchNorm2d(out)]
        inside = {*_EXPAND, *_DEPTHWISE, "conv2"}
        outside = {site: module for site, module in sites.items() if site not in inside}
        layers_by_name = {"conv": nn.Sequential(*layers)}
        super().__init__(layers_by_name, outside, has_skip=block.has_skip)


# Convolution, norm and ReLU6 are "0", "1" and "2" in torchvision's keys.
_EXPAND = ("0", "1", "after_bn1", "2", "after_relu1")
_DEPTHWISE = ("0", "after_conv2", "1", "after_bn2", "2")


def _conv_bn_relu(
    layer: nn.Module,
    channels: int,
    sites: Mapping[Site, nn.Module] = MappingProxyType({}),
    order: tuple[str, ...] = ("0", "1", "2"),
) -> nn.Sequential:
    modules: dict[str, nn.Module] = {str(site): module for site, module in sites.items()}
    modules |= {"0": layer, "1": nn.BatchNorm2d(channels), "2": nn.ReLU6(inplace=True)}
    return nn.Sequential(OrderedDict((name, modules[name]) for name in order if name in modules))
