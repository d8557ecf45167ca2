"""Big-Little Net as a frame encoder (arXiv 1807.03848): a coarse deep branch and a fine thin one.

    stem      conv1 7x7, /2 -+- b_conv0 3x3, /2 -----------------------------+- relu - bl_init 1x1
                             +- l_conv0 3x3 - l_conv1 3x3, /2 - l_conv2 1x1 -+

    layer1-3  stage_in -+- big: n - 1 blocks, /2 - nearest upsampling -----------+- relu - fusion
                        +- little: max(1, n/beta - 1) blocks, width C/alpha, 1x1 -+

    layer4    n blocks in a row

Blocks are a ResNet's bottlenecks, but for the shortcut: it is averaged (3x3, padding counted)
before its 1x1 convolution, not strided. Names are those of the release, whose state dict loads
unchanged, less its ``fc``. Both branches of a stage share the site ``stage_in``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import islice
from typing import ClassVar, NamedTuple, TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoder import MapsEncoder
from marey.models.encoders.resnet import Bottleneck
from marey.models.layers import conv
from marey.models.layout import fold_time
from marey.models.sites import Block, Site, TemporalOp, numbered, site_modules
from marey.models.temporal.tam import Aggregation
from marey.types import Clip, check_counts

DEPTHS: Mapping[int, tuple[int, ...]] = {
    50: (3, 4, 6, 3),
    101: (4, 8, 18, 3),
    152: (5, 12, 30, 3),
}
STAGES = ((4, 2), (8, 2), (16, 1), (32, 2))
"""How many times the stem's channels each stage makes, and its stride."""


@dataclass(frozen=True)
class BLResNetSpec:
    """bLResNet-50, -101 (of 4, 8, 18 and 3 blocks, not ResNet's) or -152.

    The little branch has 1/`alpha` of the width and 1/`beta` of the depth. bLResNeXt-50 32x4d is
    `BLResNetSpec(50, groups=32, width_per_group=4)`. The stem makes `channels` (`ResNetSpec`).
    """

    depth: int = 50
    _: KW_ONLY
    alpha: int = 2
    beta: int = 4
    groups: int = 1
    width_per_group: int = 64
    in_channels: int = 3
    channels: int = 64

    frames_per_segment: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise ValueError(f"depth is {self.depth}, expected one of {tuple(DEPTHS)}")
        check_counts(groups=self.groups, width_per_group=self.width_per_group)
        check_counts(in_channels=self.in_channels, channels=self.channels, beta=self.beta)
        if self.alpha < 1 or self.channels % self.alpha:
            raise ValueError(f"alpha is {self.alpha}, expected a divisor of {self.channels}")
        if self.groups > 1 and self.groups % self.alpha:
            raise ValueError(f"groups is {self.groups}, expected a multiple of alpha, {self.alpha}")

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> BLResNet:
        """The encoder with `temporal` placed in its blocks, for clips of `num_segments` frames."""
        return BLResNet(self, temporal, num_segments)

    def rows(self) -> Iterator[Row]:
        """The rows of blocks in the order of the state dict."""
        channels, depths = self.channels, DEPTHS[self.depth]
        for stage, ((times, stride), depth) in enumerate(zip(STAGES, depths, strict=True)):
            out = times * self.channels
            if stage == len(STAGES) - 1:
                yield Row(stage, "", depth, channels, out, stride)
            else:
                yield Row(stage, "big", depth - 1, channels, out, 2)
                few = max(1, depth // self.beta - 1)
                yield Row(stage, "little", few, channels, out // self.alpha, 1)
                yield Row(stage, "fusion", 1, out, out, stride)
            channels = out

    def blocks(self, temporal: Sequence[TemporalOp], num_frames: int) -> list[Block]:
        """Every residual block, row by row, as plain data."""
        blocks = (
            Block(
                kind="BigLittleBlock",
                stage=row.stage,
                in_channels=row.out_channels if index else row.in_channels,
                mid_channels=self._mid_channels(row),
                out_channels=row.out_channels,
                stride=1 if index else row.stride,
                groups=self._groups(row),
                sites=Bottleneck.sites,
            )
            for row in self.rows()
            for index in range(row.num_blocks)
        )
        return numbered(blocks, temporal, num_frames, DEPTHS[self.depth])

    def _groups(self, row: Row) -> int:
        return max(1, self.groups // self.alpha) if row.name == "little" else self.groups

    def _mid_channels(self, row: Row) -> int:
        """ResNeXt's rule; a little branch of fewer groups has wider ones."""
        widen = self.alpha if row.name == "little" and self.groups > 1 else 1
        return row.out_channels * self.width_per_group * widen // 64 // 4 * self._groups(row)


class Row(NamedTuple):
    """Blocks one after another; `name` is the branch, "" in the last stage, which has none."""

    stage: int
    name: str
    num_blocks: int
    in_channels: int
    out_channels: int
    stride: int


class BLResNet(MapsEncoder):
    """Frame features of clips: [b t c h w] -> [b t' d]; t' < t where time is pooled."""

    def __init__(
        self,
        spec: BLResNetSpec,
        temporal: Sequence[TemporalOp],
        num_frames: int,
        stem_tam: Aggregation | None = None,
    ) -> None:
        super().__init__()
        blocks = spec.blocks(temporal, num_frames)
        placed = iter(zip(blocks, site_modules(temporal, blocks), strict=True))
        stem, few = spec.channels, spec.channels // spec.alpha
        self.conv1 = conv(spec.in_channels, stem, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        if stem_tam is not None:
            self.stage_in = stem_tam
        self.b_conv0 = conv(stem, stem, 3, stride=2)
        self.bn_b0 = nn.BatchNorm2d(stem)
        self.l_conv0 = conv(stem, few, 3)
        self.bn_l0 = nn.BatchNorm2d(few)
        self.l_conv1 = conv(few, few, 3, stride=2)
        self.bn_l1 = nn.BatchNorm2d(few)
        self.l_conv2 = conv(few, stem, 1)
        self.bn_l2 = nn.BatchNorm2d(stem)
        self.bl_init = conv(stem, stem, 1)
        self.bn_bl_init = nn.BatchNorm2d(stem)
        rows = {(row.stage, row.name): list(islice(placed, row.num_blocks)) for row in spec.rows()}
        self.layer1, self.layer2, self.layer3 = (
            BigLittleStage(rows[stage, "big"], rows[stage, "little"], rows[stage, "fusion"])
            for stage in range(3)
        )
        self.layer4 = _in_a_row(rows[3, ""])
        self.num_frames = blocks[-1].num_frames
        self.num_features = blocks[-1].out_channels

    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*t' d h' w'] of clips [b t c h w]."""
        x = self.relu(self.bn1(self.conv1(fold_time(clip))))
        return self.trunk(self.fork(x, x))

    def fork(self, little: Tensor, big: Tensor) -> Tensor:
        """The end of the stem: frames [n c h w] of the little and of the big branch, joined."""
        big = self.bn_b0(self.b_conv0(big))
        little = self.relu(self.bn_l0(self.l_conv0(little)))
        little = self.relu(self.bn_l1(self.l_conv1(little)))
        little = self.bn_l2(self.l_conv2(little))
        x: Tensor = self.relu(self.bn_bl_init(self.bl_init(self.relu(big + little))))
        return x

    def trunk(self, x: Tensor) -> Tensor:
        """The last maps [b*t' d h' w'] of what the stem made."""
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return maps


Placed: TypeAlias = Iterable[tuple[Block, Mapping[Site, nn.Module]]]


class BigLittleStage(nn.Module):
    """Two branches, their sum, and a block; what ``stage_in`` makes goes to both.

    If it makes two parts, the first goes to the little branch and the second to the big one.
    """

    def __init__(self, big: Placed, little: Placed, fusion: Placed) -> None:
        super().__init__()
        (first, sites), *rest = big
        entry = sites.get("stage_in")
        if entry is not None:
            self.stage_in = entry
        self.parts = entry.num_targets if isinstance(entry, Aggregation) else 1
        inside: dict[Site, nn.Module] = {s: m for s, m in sites.items() if s != "stage_in"}
        self.big = _in_a_row([(first, inside), *rest], LinearBigLittleBlock)
        self.little = _in_a_row(little)
        (thin, _), (wide, _) = list(little)[-1], list(fusion)[-1]
        self.little_e = nn.Sequential(
            conv(thin.out_channels, wide.out_channels, 1), nn.BatchNorm2d(wide.out_channels)
        )
        self.relu = nn.ReLU(inplace=True)
        self.fusion = _in_a_row(fusion)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n out_channels h/stride w/stride]."""
        if hasattr(self, "stage_in"):
            x = self.stage_in(x)
        into_little, into_big = halves(x) if self.parts == 2 else (x, x)
        little = self.little_e(self.little(into_little))
        big = F.interpolate(self.big(into_big), little.shape[2:])
        fused: Tensor = self.fusion(self.relu(big + little))
        return fused


class BigLittleBlock(Bottleneck):
    """1x1, 3x3, 1x1 convolutions; the shortcut is averaged. Every site."""

    def __init__(self, block: Block, sites: Mapping[Site, nn.Module]) -> None:
        super().__init__(block, sites)
        nn.init.zeros_(self.get_parameter("bn3.weight"))

    @staticmethod
    def layers(block: Block, *, bias: bool) -> dict[str, nn.Module]:
        """What the block has of its own, without ops."""
        layers = Bottleneck.layers(block, bias=bias)
        layers.pop("downsample", None)
        return layers | _downsample(block)


class LinearBigLittleBlock(BigLittleBlock):
    """The last of a big branch: no ReLU after the sum, which is added to the little branch."""

    ends = ("block_out",)


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the second half of frames [2*n ...]."""
    first, second = x.view(2, -1, *x.shape[1:])
    return first, second


def _downsample(block: Block) -> dict[str, nn.Module]:
    parts: list[nn.Module] = []
    if block.stride != 1:
        parts.append(nn.AvgPool2d(3, stride=block.stride, padding=1))
    if block.in_channels != block.out_channels:
        parts.append(conv(block.in_channels, block.out_channels, 1))
        parts.append(nn.BatchNorm2d(block.out_channels))
    return {"downsample": nn.Sequential(*parts)} if parts else {}


def _in_a_row(placed: Placed, last: type[BigLittleBlock] = BigLittleBlock) -> nn.Sequential:
    *first, end = placed
    return nn.Sequential(*(BigLittleBlock(*block) for block in first), last(*end))
