"""TDN (arXiv 2012.10071): a ResNet on every fifth frame, and the motion around it at its start.

    5 frames of a segment -- pool, differences, conv 7x7, maxpool --> d0 -- a layer1 --> d1
    the middle one -- conv 7x7, maxpool --> a m0 + b d0 -- layer1 --> a m1 + b d1 -- layer2..4 -->

d0 and d1 have half the size and are enlarged by repetition; (a, b) is `TDNSpec.fusion`. This is the
short-term half of TDN; `LongTermDifference` is the other, a temporal op:

    TDN      ModelSpec(TDNSpec(50), (LongTermDifference(),))

The short-term layer1 has the sites of the first stage, so ops that stand in layer1 stand in both.

**Deviates**: the release keeps a ``conv1_temp`` that nothing calls; it is not here. Frames are
pooled before they are subtracted, which is the same and costs less. Any input size will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoder import MapsEncoder
from marey.models.encoders.resnet import ResNetSpec, stages
from marey.models.layers import conv
from marey.models.layout import fold_time, unfold_time
from marey.models.sites import TemporalOp, is_added, site_modules
from marey.types import Clip, check_counts


@dataclass(frozen=True)
class TDNSpec:
    """The short-term half of TDN around a ResNet whose convolutions have a bias.

    `fusion` is (a, b), the weights of picture and motion; None is the rule of the release: (0.5,
    0.5) for 8 segments and (0.75, 0.25) for any other number. So a model that is tested on another
    number of segments than it was trained on is fused by the number of the test, as in the release
    (`on_segments`); where it is named, it stays.
    """

    depth: int = 50
    fusion: tuple[float, float] | None = None
    in_channels: int = 3
    channels: int = 64

    frames_per_segment: ClassVar[int] = 5

    def __post_init__(self) -> None:
        check_counts(in_channels=self.in_channels)
        self.resnet()

    def resnet(self) -> ResNetSpec:
        """The net around which it is built."""
        return ResNetSpec(self.depth, channels=self.channels)

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> TDN:
        """The encoder with `temporal` placed in its blocks, for `num_segments` x 5 frames."""
        return TDN(self, temporal, num_segments)

    def fusion_for(self, num_segments: int) -> tuple[float, float]:
        """(a, b) of a model of `num_segments`."""
        return self.fusion or ((0.5, 0.5) if num_segments == 8 else (0.75, 0.25))

    def on_segments(self, num_segments: int, trained: int) -> str:
        """That picture and motion have other weights, where they have."""
        ours, before = self.fusion_for(num_segments), self.fusion_for(trained)
        if ours == before:
            return ""
        return f"TDN adds picture and motion by {ours}, not {before} as on {trained} segments"


class TDN(MapsEncoder):
    """Segment features of clips: [b 5*t c h w] -> [b t' d]; t' < t where time is pooled."""

    def __init__(self, spec: TDNSpec, temporal: Sequence[TemporalOp], num_segments: int) -> None:
        super().__init__()
        resnet = spec.resnet()
        blocks = resnet.blocks(temporal, num_segments)
        first = [block for block in blocks if block.stage == 0]
        sites = site_modules(temporal, first + blocks)
        self.fusion = spec.fusion_for(num_segments)
        self.conv1 = conv(spec.in_channels, spec.channels, 7, stride=2, bias=True)
        self.bn1 = nn.BatchNorm2d(spec.channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        (short_layer1,) = stages(resnet.block_type, first, sites[: len(first)], bias=True)
        self.short_term = ShortTermDifference(spec, short_layer1)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages(
            resnet.block_type, blocks, sites[len(first) :], bias=True
        )
        self.num_frames = blocks[-1].num_frames
        self.num_features = blocks[-1].out_channels

    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*t' d h' w'] of clips [b 5*t c h w]."""
        segments = unfold_time(fold_time(clip), TDNSpec.frames_per_segment)
        x = self.maxpool(self.relu(self.bn1(self.conv1(segments[:, 2]))))
        d0, d1 = self.short_term(segments)
        x = self.layer1(self._fused(x, d0))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self._fused(x, d1))))
        return maps

    def from_image_model(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A ResNet's weights, layer1 twice; differences start from the mean of conv1 over RGB.

        **Deviates**: biases, which torchvision has not, start at zero, so that the middle frame
        gives torchvision's features; the release leaves them random and batch norm to remove them.
        """
        own, ours = self.state_dict(), dict(weights)
        ours |= {f"short_term.{key}": w for key, w in weights.items() if key.startswith("layer1.")}
        if (stem := weights.get("conv1.weight")) is not None:
            first = "short_term.stem.0.weight"
            ours[first] = stem.mean(dim=1, keepdim=True).repeat(1, own[first].shape[1], 1, 1)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None and not is_added(name):
                ours[f"{name}.bias"] = torch.zeros_like(module.bias)
        return ours | {key: own[key] for key in own if key.startswith("short_term.stem.1.")}

    def _fused(self, x: Tensor, difference: Tensor) -> Tensor:
        a, b = self.fusion
        return x * a + F.interpolate(difference * b, x.shape[2:])

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"fusion={self.fusion}"


class ShortTermDifference(nn.Module):
    """Two maps of the differences within each segment, at 1/8 of the input's size."""

    def __init__(self, spec: TDNSpec, layer1: nn.Sequential) -> None:
        super().__init__()
        differences = (TDNSpec.frames_per_segment - 1) * spec.in_channels
        self.pool = nn.AvgPool2d(2)
        self.stem = nn.Sequential(
            conv(differences, spec.channels, 7, stride=2),
            nn.BatchNorm2d(spec.channels),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = layer1

    def forward(self, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Maps d0 [n channels h/8 w/8] and d1, wider, of segments [n 5 c h w]."""
        channels = segments.shape[2]
        frames = self.pool(segments.flatten(1, 2))
        d0 = self.maxpool(self.stem(frames[:, channels:] - frames[:, :-channels]))
        return d0, self.layer1(d0)
