"""ResNets whose 3x3x3 filters are two: 1x3x3 in space, 3x1x1 along time (arXiv 1711.11248).

    conv1 - bn1 - relu - conv1_t - bn1_t - relu - conv2 - bn2 - relu - conv2_t - bn2_t - (+)

`S3DResNetSpec` is the form of action-recognition-pytorch: both filters have as many channels, only
the middle convolution of a bottleneck is divided, the stem is a plain 3x7x7 and time is strided
only with `temporal_stride`. With `depthwise`, an option of that code, each channel looks along time
for itself. It starts from pictures, with filters along time that are new.

`R2Plus1DSpec` is R(2+1)D as its paper and torchvision have it: between the two filters stand so
many channels M that they have as many weights as the 3x3x3 one,

    M = floor(27 c_in c_out / (9 c_in + 3 c_out))    of a block's first convolution, for both

the stem is divided as well (7x7 to 45 channels, then 3x1x1), nothing is pooled behind it, and
stages 2 to 4 stride in time too: T frames become T/8.

**Deviates**: a block's ops stand behind the pair of filters, not between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from torch import Tensor, nn

from marey.models.encoders.i3d import FrameConv3d, I3DResNetSpec, strides_in_time, time_downsample
from marey.models.encoders.inception import ALONG_TIME, row
from marey.models.encoders.resnet import BASIC, BasicBlock, Bottleneck, ResNet
from marey.models.layers import conv
from marey.models.sites import Block, Site, TemporalOp


@dataclass(frozen=True)
class S3DResNetSpec(I3DResNetSpec):
    """(2+1)-D convolutions in a ResNet of 18 to 152 layers, as action-recognition-pytorch's.

    `depthwise` says whether convolutions along time are of each channel alone.
    """

    _: KW_ONLY
    depthwise: bool = False

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> ResNet:
        """The encoder with `temporal` placed in its blocks, for clips of `num_segments` frames."""
        encoder = SeparableResNet(self, temporal, num_segments)
        if isinstance(encoder.conv1, FrameConv3d):
            encoder.conv1.inflation = self.inflation
        return encoder

    @property
    def block_type(self) -> type[SeparableBottleneck] | type[SeparableBasicBlock]:  # type: ignore[override]
        """The kind of block."""
        if self.depth in BASIC:
            return DepthwiseBasicBlock if self.depthwise else SeparableBasicBlock
        return DepthwiseBottleneck if self.depthwise else SeparableBottleneck


@dataclass(frozen=True)
class R2Plus1DSpec(S3DResNetSpec):
    """R(2+1)D-18 or -34; `channels` is what the stem makes."""

    depth: int = 18
    temporal_stride: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth not in BASIC:
            raise ValueError(f"depth is {self.depth}, expected 18 or 34: blocks are basic")
        if self.depthwise:
            raise ValueError(
                "depthwise is true, but R(2+1)D has filters between other numbers of channels. "
                "hint: S3DResNetSpec, which has as many on both sides"
            )

    def first_pool(self) -> nn.Module:
        """Nothing."""
        return nn.Identity()

    def first_conv(self, num_frames: int) -> nn.Module:
        """The stem: 7x7 in space, then 3 along time."""
        middle = max(1, 45 * self.channels // 64)
        return row(
            {
                "conv": conv(self.in_channels, middle, 7, stride=2),
                "bn": nn.BatchNorm2d(middle),
                "relu": nn.ReLU(inplace=True),
                "conv_t": FrameConv3d(middle, self.channels, 1, num_frames=num_frames),
            }
        )

    @property
    def block_type(self) -> type[R2Plus1DBlock]:  # type: ignore[override]
        """The kind of block."""
        return R2Plus1DBlock


class SeparableResNet(ResNet):
    """A ResNet that starts from pictures but for what looks along time."""

    def from_image_model(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`weights`; convolutions along time keep theirs."""
        own = self.state_dict()
        return {name: weight for name, weight in own.items() if ALONG_TIME in name} | dict(weights)


class SeparableBasicBlock(BasicBlock):
    """Two convolutions in space, each with one along time behind it."""

    steps = (
        "residual_in",
        *("conv1", "bn1", "relu", "conv1_t", "bn1_t", "after_bn1", "relu", "after_relu1"),
        *("conv2", "bn2", "relu", "conv2_t", "bn2_t", "residual_out"),
    )
    before_the_stride: ClassVar[tuple[Site, ...]] = ("stage_in", "block_in", "residual_in")
    depthwise: ClassVar[bool] = False

    @classmethod
    def between(cls, block: Block) -> int:
        """Channels between a convolution in space and one along time."""
        return block.mid_channels

    @classmethod
    def layers(cls, block: Block, *, bias: bool) -> dict[str, nn.Module]:
        """What the block has of its own, without ops."""
        between, mid, out = cls.between(block), block.mid_channels, block.out_channels
        groups = mid if cls.depthwise else 1
        layers = BasicBlock.layers(block, bias=bias) | {
            "conv1": conv(block.in_channels, between, 3, stride=block.stride),
            "bn1": nn.BatchNorm2d(between),
            "conv1_t": _along_time(block, between, mid, groups),
            "bn1_t": nn.BatchNorm2d(mid),
            "conv2": conv(mid, between, 3),
            "bn2": nn.BatchNorm2d(between),
            "conv2_t": FrameConv3d(between, out, 1, num_frames=block.num_frames, groups=groups),
            "bn2_t": nn.BatchNorm2d(out),
        }
        return layers | time_downsample(block, layers)


class DepthwiseBasicBlock(SeparableBasicBlock):
    """The same, each channel along time for itself."""

    depthwise = True


class R2Plus1DBlock(SeparableBasicBlock):
    """A block whose pairs have as many weights as 3x3x3 filters."""

    @classmethod
    def between(cls, block: Block) -> int:
        """M of the equation."""
        into, out = block.in_channels, block.mid_channels
        return max(1, 27 * into * out // (9 * into + 3 * out))


class SeparableBottleneck(Bottleneck):
    """1x1, 3x3 and 3x1x1, 1x1 convolutions."""

    steps = (
        "residual_in",
        *("conv1", "bn1", "after_bn1", "relu", "after_relu1"),
        *("conv2", "bn2", "relu", "conv2_t", "after_conv2", "bn2_t", "after_bn2", "relu"),
        *("conv3", "bn3", "residual_out"),
    )
    before_the_stride: ClassVar[tuple[Site, ...]] = (
        *("stage_in", "block_in", "residual_in", "after_bn1", "after_relu1", "conv2"),
    )
    depthwise: ClassVar[bool] = False

    @classmethod
    def layers(cls, block: Block, *, bias: bool) -> dict[str, nn.Module]:
        """What the block has of its own, without ops."""
        mid = block.mid_channels
        layers = Bottleneck.layers(block, bias=bias) | {
            "conv2_t": _along_time(block, mid, mid, mid if cls.depthwise else 1),
            "bn2_t": nn.BatchNorm2d(mid),
        }
        return layers | time_downsample(block, layers)


class DepthwiseBottleneck(SeparableBottleneck):
    """The same, each channel along time for itself."""

    depthwise = True


def _along_time(block: Block, into: int, out: int, groups: int) -> FrameConv3d:
    """The convolution that has the block's stride in time, if it has one there."""
    strides = strides_in_time(block)
    frames = block.num_frames_in if strides else block.num_frames
    stride = 2 if strides else 1
    return FrameConv3d(into, out, 1, num_frames=frames, time_stride=stride, groups=groups)
