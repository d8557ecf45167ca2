"""GC-TSM-R50 (arXiv 2203.09694): four groups of channels cut out, gated and put together again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.reference.resnet import Bottleneck, ResNet50
from benchmarks.reference.tsm import TemporalShift

CDIV = 4


class LocalGate(nn.Module):
    """L: a 3-D convolution over three frames gates every place of every frame."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.conv = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.bn1 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        clip = _clips(x, self.num_segments).transpose(1, 2).contiguous()  # [b c t h w]
        gate = torch.sigmoid(self.bn1(self.conv(clip)))
        return (clip * gate).transpose(1, 2).contiguous().view(x.shape)


class TemporalGate(nn.Module):
    """T: a convolution over time of the mean pixel gates every frame."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.conv = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        clip = _clips(x, self.num_segments)
        mean = clip.mean(4).mean(3).transpose(1, 2).contiguous()  # [b c t]
        gate = torch.sigmoid(self.bn1(self.conv(mean))).transpose(1, 2).contiguous()
        return (clip * gate[..., None, None]).view(x.shape)


class SpatialGate(nn.Module):
    """S: a dilated 3x3 convolution of the mean frame gates every place; its norm is never used."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.conv = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        clip = _clips(x, self.num_segments)
        gate = torch.sigmoid(self.conv(clip.mean(1)))
        return (clip * gate[:, None]).view(x.shape)


class GlobalGate(nn.Module):
    """G: a matrix times the mean of the clip gates its channels."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.conv = nn.Linear(channels, channels, bias=False)
        self.bn1 = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        clip = _clips(x, self.num_segments)
        gate = torch.sigmoid(self.bn1(self.conv(clip.mean(4).mean(3).mean(1))))
        return (clip * gate[:, None, :, None, None]).view(x.shape)


class ContextBottleneck(Bottleneck):
    """A bottleneck whose 3x3 convolution's channels are gated, a quarter each in its own way."""

    def __init__(self, channels_in: int, planes: int, stride: int, num_segments: int) -> None:
        super().__init__(channels_in, planes, stride)
        self.width = width = planes // CDIV
        self.add_module("conv1", TemporalShift(self.conv1, num_segments))
        self.eft1 = LocalGate(width, num_segments)
        self.eft2 = TemporalGate(width, num_segments)
        self.eft3 = SpatialGate(width, num_segments)
        self.eft4 = GlobalGate(width, num_segments)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n 4*planes h' w']."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        gates = (self.eft1, self.eft2, self.eft3, self.eft4)
        groups = [
            gate(out[:, n * self.width : (n + 1) * self.width].contiguous())
            for n, gate in enumerate(gates)
        ]
        out = self.relu(torch.cat(groups, dim=1))
        return self.joined(self.bn3(self.conv3(out)), x)


def gc_tsm_resnet50(num_segments: int, num_classes: int, dropout: float) -> nn.Module:
    """GC-TSM-R50: the shift before, the gates behind the 3x3 convolution of every block."""

    def block(channels_in: int, planes: int, stride: int) -> nn.Module:
        return ContextBottleneck(channels_in, planes, stride, num_segments)

    return ResNet50(block, num_segments, num_classes, dropout)


def _clips(x: Tensor, num_segments: int) -> Tensor:
    return x.view(-1, num_segments, *x.shape[1:])
