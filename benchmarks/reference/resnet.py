"""ResNet-50 on frames, around which TSM, Group Contextualization and TDN are built."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from benchmarks.reference.frames import as_frames, consensus

BLOCKS = (3, 4, 6, 3)

MakeBlock = Callable[[int, int, int], nn.Module]
"""A block of `channels_in`, `planes` and `stride`."""


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolutions around a shortcut."""

    def __init__(self, channels_in: int, planes: int, stride: int, *, bias: bool = False) -> None:
        super().__init__()
        channels = 4 * planes
        self.conv1 = nn.Conv2d(channels_in, planes, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=bias)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, channels, 1, bias=bias)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=bias), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n 4*planes h' w']."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.joined(self.bn3(self.conv3(out)), x)

    def joined(self, out: Tensor, x: Tensor) -> Tensor:
        """What the block made, added to its input and rectified."""
        out += x if self.downsample is None else self.downsample(x)
        rectified: Tensor = self.relu(out)
        return rectified


def stage(make: MakeBlock, number: int) -> nn.Sequential:
    """The blocks of stage `number`, from 0."""
    planes = 64 * 2**number
    channels_in, stride = (64, 1) if number == 0 else (2 * planes, 2)
    first = make(channels_in, planes, stride)
    return nn.Sequential(first, *(make(4 * planes, planes, 1) for _ in range(BLOCKS[number] - 1)))


class ResNet50(nn.Module):
    """Logits [b k] of clips [b t c h w]: every frame by itself, but for what the blocks add."""

    def __init__(
        self, make: MakeBlock, num_segments: int, num_classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (stage(make, n) for n in range(4))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.new_fc = nn.Linear(2048, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits [b k]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(as_frames(clip)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.dropout(self.avgpool(x).flatten(1))
        return consensus(self.new_fc(x), self.num_segments)
