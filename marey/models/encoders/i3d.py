"""I3D-ResNet as action-recognition-pytorch has it (arXiv 1705.07750): the 3x3 filters grow a depth.

    stem 3x7x7; the middle convolution of every bottleneck, both of a basic block: 3x3x3

With `temporal_stride` the ones that stride in space from layer2 on stride in time too, and their
shortcuts with them: T frames become T/8. Everything else is a ResNet on frames, so that ops have
their sites: I3D + non-local is `ModelSpec(I3DResNetSpec(50), (NonLocal(),))`.

**Deviates**: a start from pictures repeats a filter along time and divides it by its length, so
that a still clip gives what the picture gave (the paper's rule). The release does not divide, which
triples the activations: `inflation="repeated"`. Filters of length 1 are 2-D here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor, nn

from marey.models.encoders.resnet import BASIC, BasicBlock, Bottleneck, ResNet, ResNetSpec
from marey.models.layout import OnClips, fold_time, unfold_time
from marey.models.sites import Block, Site, TemporalOp

Inflation: TypeAlias = Literal["divided", "repeated"]


@dataclass(frozen=True)
class I3DResNetSpec(ResNetSpec):
    """I3D on a ResNet of 18 to 152 layers; `inflation` is how it starts from 2-D weights.

    Where a block strides in time, it has only the sites behind the stride.
    """

    _: KW_ONLY
    temporal_stride: bool = False
    inflation: Inflation = "divided"

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> ResNet:
        """The encoder with `temporal` placed in its blocks, for clips of `num_segments` frames."""
        encoder = ResNet(self, temporal, num_segments)
        for module in encoder.modules():
            if isinstance(module, FrameConv3d):
                module.inflation = self.inflation
        return encoder

    def first_conv(self, num_frames: int) -> nn.Module:
        """The 3x7x7 convolution of the stem."""
        return FrameConv3d(self.in_channels, self.channels, 7, num_frames=num_frames, stride=2)

    @property
    def block_type(self) -> type[I3DBottleneck] | type[I3DBasicBlock]:
        """The kind of block."""
        return I3DBasicBlock if self.depth in BASIC else I3DBottleneck

    def blocks(self, temporal: Sequence[TemporalOp], num_frames: int) -> list[Block]:
        """Every residual block in order, as plain data."""
        ops = (*temporal, _HalfTheFrames()) if self.temporal_stride else temporal
        return [
            replace(block, sites=tuple(site for site in block.sites if site not in taken))
            for block in super().blocks(ops, num_frames)
            for taken in [self._taken(block)]
        ]

    def _taken(self, block: Block) -> tuple[Site, ...]:
        if self.temporal_stride and block.stage > 0 and block.index == 0:
            return self.block_type.before_the_stride
        return ("conv2",)


@dataclass(frozen=True)
class _HalfTheFrames(TemporalOp):
    """What a stride in time makes of the number of frames."""

    def frames_in_stage(self, stage: int, num_frames: int) -> int:
        return -(-num_frames // 2) if stage > 0 else num_frames

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:  # noqa: ARG002
        return {}


class I3DBottleneck(Bottleneck):
    """1x1, 3x3x3, 1x1 convolutions."""

    before_the_stride: ClassVar[tuple[Site, ...]] = (
        *("stage_in", "block_in", "residual_in", "after_bn1", "after_relu1", "conv2"),
    )

    @staticmethod
    def layers(block: Block, *, bias: bool) -> dict[str, nn.Module]:
        """What the block has of its own, without ops."""
        mid = block.mid_channels
        layers = Bottleneck.layers(block, bias=bias)
        layers["conv2"] = _strided(block, mid, mid)
        return layers | time_downsample(block, layers)


class I3DBasicBlock(BasicBlock):
    """Two 3x3x3 convolutions."""

    before_the_stride: ClassVar[tuple[Site, ...]] = ("stage_in", "block_in", "residual_in")

    @staticmethod
    def layers(block: Block, *, bias: bool) -> dict[str, nn.Module]:
        """What the block has of its own, without ops."""
        mid, out = block.mid_channels, block.out_channels
        layers = BasicBlock.layers(block, bias=bias)
        layers["conv1"] = _strided(block, block.in_channels, mid)
        layers["conv2"] = FrameConv3d(mid, out, 3, num_frames=block.num_frames)
        return layers | time_downsample(block, layers)


class FrameConv3d(OnClips, nn.Conv3d):
    """A `time` x `kernel` x `kernel` convolution of frames [b*t c h w].

    In channels-last memory frames already lie as a 3-D convolution wants them: nothing is copied.
    """

    inflation: Inflation = "divided"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        num_frames: int,
        time: int = 3,
        stride: int = 1,
        time_stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            (time, kernel, kernel),
            (time_stride, stride, stride),
            (time // 2, kernel // 2, kernel // 2),
            groups=groups,
            bias=bias,
        )
        self.num_frames = num_frames
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*t' c' h' w']."""
        x = super().forward(unfold_time(x, self.num_frames).transpose(1, 2))
        return fold_time(x.transpose(1, 2))

    def start_from(self, weight: Tensor) -> Mapping[str, Tensor]:
        """The filter of a picture, at every one of its times; one that has times stays as it is."""
        if weight.ndim == 5:
            return {"weight": weight}
        length = self.weight.shape[2]
        share = length if self.inflation == "divided" else 1
        return {"weight": weight.unsqueeze(2).repeat(1, 1, length, 1, 1) / share}


class EverySecondFrame(OnClips):
    """Frames 0, 2, 4... of each clip."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*ceil(t/2) c h w]."""
        return fold_time(unfold_time(x, self.num_frames)[:, ::2])


def _strided(block: Block, in_channels: int, out_channels: int) -> FrameConv3d:
    """The convolution that has the block's stride, in time too if it has one there."""
    strides = strides_in_time(block)
    return FrameConv3d(
        in_channels,
        out_channels,
        3,
        num_frames=block.num_frames_in if strides else block.num_frames,
        stride=block.stride,
        time_stride=2 if strides else 1,
        groups=block.groups,
    )


def time_downsample(block: Block, layers: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The shortcut on the frames that a stride in time leaves."""
    if not strides_in_time(block):
        return {}
    frames = EverySecondFrame(block.num_frames_in)
    named = dict(layers["downsample"].named_children())
    return {"downsample": nn.Sequential(OrderedDict([("frames", frames), *named.items()]))}


def strides_in_time(block: Block) -> bool:
    """Whether a convolution of the block strides in time."""
    pools = "stage_in" in block.sites  # then a change in frames is an op's
    return block.index == 0 and not pools and block.num_frames != block.num_frames_in
