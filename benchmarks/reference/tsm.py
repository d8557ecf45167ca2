"""TSM (arXiv 1811.08383): slices of a tensor of zeros are assigned, before a 1x1 convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.reference.frames import as_frames, consensus
from benchmarks.reference.resnet import Bottleneck, ResNet50

SHIFT_DIV = 8

ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""MobileNetV2: expansion, channels, blocks and first stride of each row."""


class TemporalShift(nn.Module):
    """A layer whose input is shifted: an eighth of the channels each way in time."""

    def __init__(self, net: nn.Module, num_segments: int) -> None:
        super().__init__()
        self.net = net
        self.num_segments = num_segments

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w], shifted and then given to the layer."""
        frames, channels, height, width = x.shape
        clip = x.view(frames // self.num_segments, self.num_segments, channels, height, width)
        fold = channels // SHIFT_DIV
        out = torch.zeros_like(clip)
        out[:, :-1, :fold] = clip[:, 1:, :fold]
        out[:, 1:, fold : 2 * fold] = clip[:, :-1, fold : 2 * fold]
        out[:, :, 2 * fold :] = clip[:, :, 2 * fold :]
        after: Tensor = self.net(out.view(frames, channels, height, width))
        return after


def tsm_resnet50(num_segments: int, num_classes: int, dropout: float) -> nn.Module:
    """TSM-R50, the shift on the residual path of every block."""

    def block(channels_in: int, planes: int, stride: int) -> nn.Module:
        made = Bottleneck(channels_in, planes, stride)
        made.add_module("conv1", TemporalShift(made.conv1, num_segments))
        return made

    return ResNet50(block, num_segments, num_classes, dropout)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; shifted where there is a shortcut."""

    def __init__(
        self, channels_in: int, channels: int, stride: int, expansion: int, num_segments: int
    ) -> None:
        super().__init__()
        self.has_shortcut = stride == 1 and channels_in == channels
        mid = channels_in * expansion
        layers: list[nn.Module] = [] if expansion == 1 else _conv_bn_relu(channels_in, mid, 1)
        layers += _conv_bn_relu(mid, mid, 3, stride, groups=mid)
        layers += [nn.Conv2d(mid, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        if self.has_shortcut:
            layers[0] = TemporalShift(layers[0], num_segments)
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n c' h' w']."""
        out: Tensor = self.conv(x)
        return x + out if self.has_shortcut else out


class TSMMobileNetV2(nn.Module):
    """Logits [b k] of clips [b t c h w]."""

    def __init__(self, num_segments: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.num_segments = num_segments
        layers: list[nn.Module] = [nn.Sequential(*_conv_bn_relu(3, 32, 3, 2))]
        channels_in = 32
        for expansion, channels, depth, first_stride in ROWS:
            for index in range(depth):
                stride = 1 if index else first_stride
                layers.append(
                    InvertedResidual(channels_in, channels, stride, expansion, num_segments)
                )
                channels_in = channels
        layers.append(nn.Sequential(*_conv_bn_relu(channels_in, 1280, 1)))
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.new_fc = nn.Linear(1280, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits [b k]."""
        x = self.dropout(self.features(as_frames(clip)).mean(3).mean(2))
        return consensus(self.new_fc(x), self.num_segments)


def _conv_bn_relu(
    channels_in: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(channels), nn.ReLU6(inplace=True)]
