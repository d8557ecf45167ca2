"""bLVNet-TAM (arXiv 1912.00869): every map of a pair of frames copied to both of them.

Frames of all clips lie behind one another, and lists of indices tell which of them each branch
sees. A TAM is three depthwise convolutions, of which two are padded and cut, stacked and summed.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reference.frames import as_frames, consensus

ALPHA, BETA = 2, 4
STAGES = ((256, 2), (512, 2), (1024, 1), (2048, 2))
"""Channels and stride of each stage; the last one has no branches."""
BLOCKS = {50: (3, 4, 6, 3), 101: (4, 8, 18, 3)}
"""Of each stage, by depth."""


class TAM(nn.Module):
    """Frames [b*t c h w], each channel a weighted sum of three frames, rectified."""

    def __init__(self, channels: int, duration: int) -> None:
        super().__init__()
        self.duration = duration
        self.prev = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.next = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.curr = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        clip = (-1, self.duration, *x.shape[1:])
        before, here, after = (conv(x).view(clip) for conv in (self.prev, self.curr, self.next))
        before = F.pad(before, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1]
        after = F.pad(after, (0, 0, 0, 0, 0, 0, 0, 1))[:, 1:]
        out = torch.stack([before, here, after], dim=0).sum(dim=0)
        rectified: Tensor = self.relu(out)
        return rectified.view(x.shape)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolutions; a shortcut with a stride is averaged.

    A shortcut with layers takes what the TAM made, a plain one what the block was given.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        stride: int = 1,
        *,
        last_relu: bool = True,
        pairs: int | None = None,
    ) -> None:
        super().__init__()
        mid = channels // 4
        self.tam = None if pairs is None else TAM(channels_in, pairs)
        self.conv1 = nn.Conv2d(channels_in, mid, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(mid)
        self.conv2 = nn.Conv2d(mid, mid, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.conv3 = nn.Conv2d(mid, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        shortcut: list[nn.Module] = []
        if stride != 1:
            shortcut.append(nn.AvgPool2d(3, stride, 1))
        if channels_in != channels:
            shortcut.append(nn.Conv2d(channels_in, channels, 1, bias=False))
            shortcut.append(nn.BatchNorm2d(channels))
        self.downsample = nn.Sequential(*shortcut) if shortcut else None
        self.last_relu = last_relu

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n c' h' w']."""
        residual = x
        if self.tam is not None:
            x = self.tam(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += residual if self.downsample is None else self.downsample(x)
        return cast(Tensor, self.relu(out)) if self.last_relu else out


class Stage(nn.Module):
    """A big branch at half the size on odd frames, a little one at full size on even frames."""

    def __init__(
        self, channels_in: int, channels: int, blocks: int, stride: int, num_frames: int
    ) -> None:
        super().__init__()
        self.tam = TAM(channels_in, num_frames)
        self.big = _row(channels_in, channels, blocks - 1, 2, last_relu=False)
        thin = channels // ALPHA
        self.little = _row(channels_in, thin, max(1, blocks // BETA - 1), 1)
        self.little_e = nn.Sequential(
            nn.Conv2d(thin, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )
        self.fusion = _row(channels, channels, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, even: list[int], odd: list[int]) -> Tensor:
        """Frames [b*t c h w], both of a pair the same but for the TAM -> pairs [b*p c' h' w']."""
        x = self.tam(x)
        big = self.big(x[odd])
        little = self.little_e(self.little(x[even]))
        big = F.interpolate(big, little.shape[2:])
        fused: Tensor = self.fusion(self.relu(big + little))
        return fused


class BLVNetTAM(nn.Module):
    """Logits [b k] of clips [b 2p c h w]."""

    def __init__(self, depth: int, num_pairs: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.num_pairs = num_pairs
        num_frames, few = 2 * num_pairs, 64 // ALPHA
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.tam = TAM(64, num_frames)
        self.b_conv0 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn_b0 = nn.BatchNorm2d(64)
        self.l_conv0 = nn.Conv2d(64, few, 3, 1, 1, bias=False)
        self.bn_l0 = nn.BatchNorm2d(few)
        self.l_conv1 = nn.Conv2d(few, few, 3, 2, 1, bias=False)
        self.bn_l1 = nn.BatchNorm2d(few)
        self.l_conv2 = nn.Conv2d(few, 64, 1, bias=False)
        self.bn_l2 = nn.BatchNorm2d(64)
        self.bl_init = nn.Conv2d(64, 64, 1, bias=False)
        self.bn_bl_init = nn.BatchNorm2d(64)
        channels_in, stages = 64, []
        rows = [(*row, blocks) for row, blocks in zip(STAGES, BLOCKS[depth], strict=True)]
        for channels, stride, blocks in rows[:3]:
            stages.append(Stage(channels_in, channels, blocks, stride, num_frames))
            channels_in = channels
        self.layer1, self.layer2, self.layer3 = stages
        channels, stride, blocks = rows[3]
        self.layer4 = _row(channels_in, channels, blocks, stride, pairs=num_pairs)
        self.gappool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.new_fc = nn.Linear(channels, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits [b k]."""
        frames = as_frames(clip)
        even, odd = list(range(0, len(frames), 2)), list(range(1, len(frames), 2))
        both = [pair for pair in range(len(frames) // 2) for _ in range(2)]
        x = self.tam(self.relu(self.bn1(self.conv1(frames))))
        x = self._fork(x[even], x[odd])[both]
        x = self.layer1(x, even, odd)[both]
        x = self.layer2(x, even, odd)[both]
        x = self.layer3(x, even, odd)[both]
        x = self.layer4(x[odd])
        x = self.dropout(self.gappool(x).flatten(1))
        return consensus(self.new_fc(x), self.num_pairs)

    def _fork(self, even: Tensor, odd: Tensor) -> Tensor:
        big = self.bn_b0(self.b_conv0(odd))
        little = self.relu(self.bn_l0(self.l_conv0(even)))
        little = self.relu(self.bn_l1(self.l_conv1(little)))
        little = self.bn_l2(self.l_conv2(little))
        pairs: Tensor = self.relu(self.bn_bl_init(self.bl_init(self.relu(big + little))))
        return pairs


def _row(
    channels_in: int,
    channels: int,
    blocks: int,
    stride: int,
    *,
    last_relu: bool = True,
    pairs: int | None = None,
) -> nn.Sequential:
    return nn.Sequential(
        *(
            Bottleneck(
                channels if index else channels_in,
                channels,
                1 if index else stride,
                last_relu=last_relu or index < blocks - 1,
                pairs=pairs,
            )
            for index in range(blocks)
        )
    )
