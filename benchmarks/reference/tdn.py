"""TDN-R50 (arXiv 2012.10071): differences stacked at full size, both directions one by one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reference.frames import as_frames, consensus
from benchmarks.reference.resnet import Bottleneck, stage

FRAMES = 5
"""Of a segment."""
REDUCTION = 16


class MultiScaleExcitation(nn.Module):
    """Channels gated by the differences to the segments ahead and behind, at three scales."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__()
        inner = channels // REDUCTION
        self.num_segments = num_segments
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv3_smallscale2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn3_smallscale2 = nn.BatchNorm2d(inner)
        self.conv3_smallscale4 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn3_smallscale4 = nn.BatchNorm2d(inner)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        bottleneck = self.bn1(self.conv1(x))
        smoothed = self.conv2(bottleneck)
        here = bottleneck.view(-1, self.num_segments, *bottleneck.shape[1:])
        there = smoothed.view(here.shape)
        ahead = there[:, 1:] - here[:, :-1]
        behind = there[:, :-1] - here[:, 1:]
        ahead = F.pad(ahead, (0, 0, 0, 0, 0, 0, 0, 1)).view(bottleneck.shape)
        behind = F.pad(behind, (0, 0, 0, 0, 0, 0, 1, 0)).view(bottleneck.shape)
        ahead, behind = self._gates(ahead, behind)
        return x + x * (0.5 * ahead + 0.5 * behind)

    def _gates(self, *differences: Tensor) -> tuple[Tensor, ...]:
        """Between -1/2 and 1/2, of each direction; norms meet one direction after the other."""
        size = differences[0].shape[2:]
        coarse = [
            F.interpolate(self.bn3_smallscale2(self.conv3_smallscale2(self.pool(z))), size)
            for z in differences
        ]
        fine = [self.bn3_smallscale4(self.conv3_smallscale4(z)) for z in differences]
        thirds = zip(differences, coarse, fine, strict=True)
        sums = [1.0 / 3 * z + 1.0 / 3 * two + 1.0 / 3 * four for z, two, four in thirds]
        return tuple(torch.sigmoid(self.bn3(self.conv3(z))) - 0.5 for z in sums)


class LearnedShift(nn.Conv1d):
    """A depthwise convolution over time of frames [b*t c h w], time brought to the last axis."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.num_segments = num_segments

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        channels, height, width = x.shape[1:]
        clip = x.view(-1, self.num_segments, channels, height, width)
        places = clip.permute(0, 3, 4, 2, 1).contiguous().view(-1, channels, self.num_segments)
        mixed = super().forward(places)
        clip = mixed.view(-1, height, width, channels, self.num_segments)
        return clip.permute(0, 4, 3, 1, 2).contiguous().view(x.shape)


class DifferenceBottleneck(Bottleneck):
    """A bottleneck with both modules before its 3x3 convolution."""

    def __init__(self, channels_in: int, planes: int, stride: int, num_segments: int) -> None:
        super().__init__(channels_in, planes, stride, bias=True)
        self.mse = MultiScaleExcitation(planes, num_segments)
        self.shift = LearnedShift(planes, num_segments)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n 4*planes h' w']."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.shift(self.mse(out))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.joined(self.bn3(self.conv3(out)), x)


class TDNResNet50(nn.Module):
    """Logits [b k] of clips [b 5*t c h w]."""

    def __init__(self, num_segments: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.weights = (0.5, 0.5) if num_segments == 8 else (0.75, 0.25)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.pool = nn.AvgPool2d(2)
        self.conv1_5 = nn.Sequential(
            nn.Conv2d(3 * (FRAMES - 1), 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )
        self.resnext_layer1 = stage(_plain, 0)
        self.layer1_bak = stage(_plain, 0)
        self.layer2_bak, self.layer3_bak, self.layer4_bak = (
            stage(self._with_differences, number) for number in (1, 2, 3)
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.new_fc = nn.Linear(2048, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits [b k]."""
        segments = as_frames(clip).view(-1, FRAMES, *clip.shape[2:])
        x1, x2, x3, x4, x5 = segments.unbind(1)
        differences = torch.cat([x2 - x1, x3 - x2, x4 - x3, x5 - x4], dim=1)
        d0 = self.maxpool(self.conv1_5(self.pool(differences)))
        x = self.maxpool(self.relu(self.bn1(self.conv1(x3))))
        d1 = self.resnext_layer1(d0)
        x = self.layer1_bak(self._fused(x, d0))
        x = self.layer4_bak(self.layer3_bak(self.layer2_bak(self._fused(x, d1))))
        x = self.dropout(self.avgpool(x).flatten(1))
        return consensus(self.new_fc(x), self.num_segments)

    def _fused(self, x: Tensor, difference: Tensor) -> Tensor:
        a, b = self.weights
        return a * x + b * F.interpolate(difference, x.shape[2:])

    def _with_differences(self, channels_in: int, planes: int, stride: int) -> nn.Module:
        return DifferenceBottleneck(channels_in, planes, stride, self.num_segments)


def _plain(channels_in: int, planes: int, stride: int) -> nn.Module:
    return Bottleneck(channels_in, planes, stride, bias=True)
