"""GoogLeNet on clips: I3D (arXiv 1705.07750) and S3D (arXiv 1712.04851).

    I3D     stem 7x7x7, every 3x3 filter 3x3x3
    S3D     every 3x3 filter in two: 1x3x3 in space, then 3x1x1 along time, each with norm and ReLU

Poolings look at three frames, those between blocks but the first; so does that in each block. As
action-recognition-pytorch has them, no pooling strides in time unless `temporal_stride` says so (T
frames become T/8); S3D's last one, 2x2x2, drops a frame of a clip without it. Its stem is a plain
3x7x7, its convolutions along time have biases. Two options are of that code too: with
``reduce="mean"`` the poolings between blocks take the mean of a window, zeros outside of the clip
being counted (those in blocks always take the maximum), and with ``depthwise=True`` each channel of
S3D looks along time for itself.

``form="torchvision"`` is S3D as torchvision has it: the stem in two as well and striding in time,
and of four poolings the last two (T frames become T/8); features are means of two neighbouring
frames, so that the frames at both ends count half.

They start from GoogLeNet: I3D's filters as `marey.models.encoders.i3d` says, S3D's convolutions in
space from its 3x3 ones; those along time are new.

**Deviates**: windows of three have a mean of two frames too, where that code fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import count
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoders.googlenet import GoogLeNetSpec
from marey.models.encoders.i3d import FrameConv3d, Inflation
from marey.models.encoders.inception import InceptionNetwork, conv_norm, normed
from marey.models.layout import OnClips, fold_time, unfold_time
from marey.models.sites import Block, Site, TemporalOp, numbered
from marey.types import Clip, check_choices


@dataclass(frozen=True)
class _OnClips(GoogLeNetSpec):
    _: KW_ONLY
    temporal_stride: bool = False
    reduce: Literal["max", "mean"] = "max"
    inflation: Inflation = "divided"

    sites: ClassVar[tuple[Site, ...]] = ("block_in", "block_out")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self)

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> InceptionNetwork:
        """The encoder with `temporal` placed in its blocks, for clips of `num_segments` frames.

        ValueError if so few frames leave none behind the poolings.
        """
        if self._frames_left(num_segments) < self.network.least_frames:
            frames = count(num_segments)
            enough = next(n for n in frames if self._frames_left(n) >= self.network.least_frames)
            raise ValueError(f"num_segments is {num_segments}, expected at least {enough}")
        encoder = super().build(temporal, num_segments)
        for module in encoder.modules():
            if isinstance(module, FrameConv3d):
                module.inflation = self.inflation
        return encoder

    def blocks(self, temporal: Sequence[TemporalOp], num_frames: int) -> list[Block]:
        """Every part that ops may stand around, in order, as plain data."""
        return numbered(self._blocks(), (*temporal, _Strides(self)), num_frames)

    def _frames_left(self, num_frames: int) -> int:
        return self.blocks((), num_frames)[-1].num_frames

    def windows(self, number: int) -> tuple[int, int, int]:
        """Length, stride and padding in time of the pooling number 1 to 4."""
        return (1, 1, 0) if number == 1 else (3, 2 if self.temporal_stride else 1, 1)

    def stem_stride(self) -> int:
        """How many frames the stem steps on."""
        return 1

    def pool(self, number: int, num_frames: int) -> nn.Module:
        """The pooling number 1 to 4, of clips of `num_frames`; 2 to 4 stand before a stage."""
        length, stride, padding = self.windows(number)
        kernel, strides, paddings = (length, 3, 3), (stride, 2, 2), (padding, 1, 1)
        return FramePool(num_frames, kernel, strides, paddings, self.reduce)

    def branch_pool(self, num_frames: int) -> nn.Module:
        """The pooling of a block's last branch."""
        return FramePool(num_frames, (3, 3, 3), (1, 1, 1), (1, 1, 1))


@dataclass(frozen=True)
class I3DInceptionSpec(_OnClips):
    """I3D on GoogLeNet; its stem makes `channels`, and every layer its multiple of them."""

    least_size: ClassVar[int] = 1

    def first_conv(self, num_frames: int) -> dict[str, nn.Module]:
        """The layers of the 7x7x7 convolution."""
        out = self.scaled(64)
        return normed(
            FrameConv3d(self.in_channels, out, 7, num_frames=num_frames, time=7, stride=2)
        )

    def wide_conv(self, into: int, out: int, num_frames: int) -> dict[str, nn.Module]:
        """The layers of a 3x3x3 convolution."""
        return normed(FrameConv3d(into, out, 3, num_frames=num_frames))


@dataclass(frozen=True)
class S3DSpec(_OnClips):
    """S3D; its stem makes `channels`, and every layer its multiple of them.

    `form` is whose: that of torchvision always strides in time, and takes 13 frames or more.
    `depthwise` says whether convolutions along time are of each channel alone.
    """

    _: KW_ONLY
    form: Literal["arp", "torchvision"] = "arp"
    depthwise: bool = False

    least_size: ClassVar[int] = 17

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form == "torchvision" and self.temporal_stride:
            raise ValueError(
                "temporal_stride is that of form 'arp'; form 'torchvision' strides in time as it is"
            )

    @property
    def network(self) -> type[InceptionNetwork]:
        """What is made of the parts."""
        return InceptionNetwork if self.form == "arp" else PairwiseNetwork

    def windows(self, number: int) -> tuple[int, int, int]:
        """Length, stride and padding in time of the pooling number 1 to 4."""
        if number == 4:
            return 2, 2 if self.temporal_stride or self.form == "torchvision" else 1, 0
        if self.form == "torchvision":
            return (1, 1, 0) if number < 3 else (3, 2, 1)
        return super().windows(number)

    def stem_stride(self) -> int:
        """How many frames the stem steps on."""
        return 2 if self.form == "torchvision" else 1

    def pool(self, number: int, num_frames: int) -> nn.Module:
        """The pooling number 1 to 4, of clips of `num_frames`."""
        if number < 4:
            return super().pool(number, num_frames)
        length, stride, padding = self.windows(number)
        kernel, strides, paddings = (length, 2, 2), (stride, 2, 2), (padding, 0, 0)
        return FramePool(num_frames, kernel, strides, paddings, self.reduce)

    def first_conv(self, num_frames: int) -> dict[str, nn.Module]:
        """The layers of the stem's first convolution, for clips of `num_frames`."""
        into, out = self.in_channels, self.scaled(64)
        if self.form == "arp":
            return normed(FrameConv3d(into, out, 7, num_frames=num_frames, stride=2))
        along = FrameConv3d(out, out, 1, num_frames=num_frames, time=7, time_stride=2)
        return conv_norm(into, out, 7, stride=2) | normed(along, suffix="_t")

    def wide_conv(self, into: int, out: int, num_frames: int) -> dict[str, nn.Module]:
        """The layers of a 3x3 convolution in space and one along time."""
        groups, bias = out if self.depthwise else 1, self.form == "arp"
        along = FrameConv3d(out, out, 1, num_frames=num_frames, groups=groups, bias=bias)
        return conv_norm(into, out, 3) | normed(along, suffix="_t")


@dataclass(frozen=True)
class _Strides(TemporalOp):
    """What the poolings, and the stem, make of the number of frames."""

    spec: _OnClips

    def frames_in_stage(self, stage: int, num_frames: int) -> int:
        if stage == 0:
            return -(-num_frames // self.spec.stem_stride())
        length, stride, padding = self.spec.windows(stage + 1)
        return (num_frames + 2 * padding - length) // stride + 1

    def sites(self, block: Block) -> dict[Site, nn.Module]:  # noqa: ARG002
        return {}


class PairwiseNetwork(InceptionNetwork):
    """Features are means of two neighbouring frames: [b t c h w] -> [b t'-1 d]."""

    least_frames = 2

    def forward(self, clip: Clip) -> Tensor:
        """Features [b t'-1 d] of clips [b t c h w]."""
        x = super().forward(clip)
        return (x[:, 1:] + x[:, :-1]) / 2


class FramePool(OnClips):
    """The maximum, or mean, over windows of time and space, of frames [b*t c h w]."""

    def __init__(
        self,
        num_frames: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int],
        padding: tuple[int, int, int],
        reduce: Literal["max", "mean"] = "max",
    ) -> None:
        super().__init__()
        self.num_frames, self.reduce = num_frames, reduce
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> [b*t' c h' w']."""
        clips = unfold_time(x, self.num_frames).transpose(1, 2)
        return fold_time(self._pooled(clips).transpose(1, 2))

    def _pooled(self, x_bcthw: Tensor) -> Tensor:
        if self.reduce == "max":
            return F.max_pool3d(x_bcthw, self.kernel, self.stride, self.padding)
        t, h, w = self.padding
        padded = F.pad(x_bcthw, (w, w, h, h, t, t))  # avg_pool3d refuses frames fewer than a window
        return F.avg_pool3d(padded, self.kernel, self.stride)
