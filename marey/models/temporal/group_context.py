"""Group Contextualization (arXiv 2203.09694): groups of channels, each gated by another context.

    y_g = x_g * sigmoid(BN(W * context(x_g))),  one layer of as many channels out as in

    group  context of frames [t c h w]  W                           gate varies over
    L      x itself                     3 frames                    t h w
    T      mean over h w                3 frames                    t
    S      mean over t                  3 x 3 pixels, dilated by 2  h w
    G      mean over t h w              a matrix                    nothing

A group has C/cdiv channels. They stand in the order L, T, S, G, the paper's figure notwithstanding;
channels beyond them pass. With `loop` the first group moves one group further in every block. All
four gates are GC, one alone is an "ECal" row of the paper.

The batch norm of S has weights in every checkpoint but was never applied: a second definition of
the method overrides the first. `Calibrator.bn` of S is kept for its place in the state dict only.

**Deviates**: L is a 2-D convolution over [t h*w], which needs no copy in channels-last memory. The
release writes single groups back in place, so that its ECal-T and ECal-S cannot be trained. If cdiv
does not divide C, it zeroes the left-over channels in blocks whose groups go round the end:
`variant="upstream"`; here they pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from marey.models.layout import fold_time, unfold_time
from marey.models.sites import Block, Site, TemporalOp

ORDER = "LTSG"


@dataclass(frozen=True)
class GroupContext(TemporalOp):
    """Calibrated channel groups at `site`, or at one site a stage if that is a tuple.

    `gates` are some of the letters L, T, S and G, whose order does not matter. `norm=False` is the
    form for GST, with `site="after_conv2"`. With `alternate="stage"` stages of 23 blocks or more
    have groups in blocks of even index only.
    """

    gates: str = "LTSG"
    cdiv: int = 4
    loop: bool = False
    site: Site | tuple[Site, ...] = "after_bn2"
    norm: bool = True
    alternate: Literal["stage", "none"] = "stage"
    variant: Literal["repaired", "upstream"] = "repaired"

    def __post_init__(self) -> None:
        if not self.gates or sorted(self.gates) != sorted(set(self.gates) & set(ORDER)):
            raise ValueError(f"gates is '{self.gates}', expected some of the letters L, T, S, G")
        if self.cdiv < len(self.gates):
            raise ValueError(f"cdiv is {self.cdiv}, expected a group of channels for each of the "
                             f"gates '{self.gates}'")  # fmt: skip

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """`ChannelGroups` at the site, or nothing in blocks that are left out."""
        if block.index % self._step(block.depths[block.stage]):
            return {}
        site = self._site(block)
        channels = block.channels_at(site)
        if channels < self.cdiv:
            raise ValueError(f"{self} divides the {channels} channels of {block} into nothing")
        groups = ChannelGroups(
            {gate: _CALIBRATORS[gate] for gate in ORDER if gate in self.gates},
            channels=channels,
            num_frames=block.num_frames,
            cdiv=self.cdiv,
            first=self._before(block) % self.cdiv if self.loop else 0,
            norm=self.norm,
            zero_tail=self.variant == "upstream",
        )
        return {site: groups}

    def _step(self, depth: int) -> int:
        return 2 if self.alternate == "stage" and depth >= 23 else 1

    def _before(self, block: Block) -> int:
        """How many blocks before this one have groups."""
        earlier = sum(-(-depth // self._step(depth)) for depth in block.depths[: block.stage])
        return earlier + block.index // self._step(block.depths[block.stage])

    def _site(self, block: Block) -> Site:
        if isinstance(self.site, str):
            return self.site
        if len(self.site) != len(block.depths):
            raise ValueError(f"{self} names {len(self.site)} sites, expected one for each of "
                             f"{len(block.depths)} stages")  # fmt: skip
        return self.site[block.stage]


class ChannelGroups(nn.Module):
    """Frames [b*t c h w] with each group of channels calibrated by its own gate."""

    def __init__(
        self,
        calibrators: Mapping[str, type[Calibrator]],
        *,
        channels: int,
        num_frames: int,
        cdiv: int,
        first: int,
        norm: bool,
        zero_tail: bool,
    ) -> None:
        super().__init__()
        self.width, self.cdiv, self.first = channels // cdiv, cdiv, first
        for gate, calibrator in calibrators.items():
            self.add_module(gate, calibrator(self.width, num_frames, norm=norm))
        wraps = first + len(calibrators) > cdiv
        self.zero_tail = zero_tail and wraps and channels % cdiv > 0

    def forward(self, x: Tensor) -> Tensor:
        """[b*t c h w] -> the same shape."""
        groups = list(x.split(self.width, dim=1))
        for i, calibrate in enumerate(self.children(), start=self.first):
            groups[i % self.cdiv] = calibrate(groups[i % self.cdiv])
        if self.zero_tail:
            groups[self.cdiv :] = [torch.zeros_like(rest) for rest in groups[self.cdiv :]]
        return torch.cat(groups, dim=1)

    def extra_repr(self) -> str:
        """What `print` shows."""
        tail = ", zero_tail=True" if self.zero_tail else ""
        return f"width={self.width}, cdiv={self.cdiv}, first={self.first}{tail}"


class Calibrator(nn.Module):
    """Frames [b*t c h w], multiplied by a gate in (0, 1) that their context decides."""

    conv: nn.Module
    bn: nn.Module

    def __init__(self, channels: int, num_frames: int, *, norm: bool) -> None:
        super().__init__()
        self.num_frames = num_frames

    def gate(self, x: Tensor) -> Tensor:
        """Before the sigmoid, of frames [b*t c h w]: [b t c h w] or with axes of length 1."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        gate = torch.sigmoid(self.gate(x))
        return fold_time(unfold_time(x, self.num_frames) * gate)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"num_frames={self.num_frames}"


class LocalCalibrator(Calibrator):
    """L: each place looks at itself in three frames."""

    def __init__(self, channels: int, num_frames: int, *, norm: bool) -> None:
        super().__init__(channels, num_frames, norm=norm)
        self.conv = _xavier(nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), bias=False))
        self.bn = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def gate(self, x: Tensor) -> Tensor:
        """[b t c h w]."""
        clip = unfold_time(x, self.num_frames).transpose(1, 2)
        gate: Tensor = self.bn(self.conv(clip.flatten(3)))
        return gate.view(clip.shape).transpose(1, 2)


class TemporalCalibrator(Calibrator):
    """T: each frame looks at three frames' mean pixels."""

    def __init__(self, channels: int, num_frames: int, *, norm: bool) -> None:
        super().__init__(channels, num_frames, norm=norm)
        self.conv = _xavier(nn.Conv1d(channels, channels, 3, padding=1, bias=False))
        self.bn = nn.BatchNorm1d(channels) if norm else nn.Identity()

    def gate(self, x: Tensor) -> Tensor:
        """[b t c 1 1]."""
        means = unfold_time(x.mean(dim=(2, 3)), self.num_frames).transpose(1, 2)
        gate: Tensor = self.bn(self.conv(means))
        return gate.transpose(1, 2)[..., None, None]


class SpatialCalibrator(Calibrator):
    """S: each place looks around itself in the mean frame; the norm is dead (see the module)."""

    def __init__(self, channels: int, num_frames: int, *, norm: bool) -> None:
        super().__init__(channels, num_frames, norm=norm)
        conv = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, bias=False)
        self.conv = _xavier(conv)
        self.bn = nn.BatchNorm2d(channels).requires_grad_(False) if norm else nn.Identity()

    def gate(self, x: Tensor) -> Tensor:
        """[b 1 c h w]."""
        gate: Tensor = self.conv(unfold_time(x, self.num_frames).mean(dim=1))
        return gate.unsqueeze(1)


class GlobalCalibrator(Calibrator):
    """G: the whole clip looks at its mean; with the norm, training needs two clips or more."""

    def __init__(self, channels: int, num_frames: int, *, norm: bool) -> None:
        super().__init__(channels, num_frames, norm=norm)
        self.conv = nn.Linear(channels, channels, bias=False)
        nn.init.normal_(self.conv.weight, std=0.001)
        self.bn = nn.BatchNorm1d(channels) if norm else nn.Identity()

    def gate(self, x: Tensor) -> Tensor:
        """[b 1 c 1 1]."""
        means = unfold_time(x.mean(dim=(2, 3)), self.num_frames).mean(dim=1)
        gate: Tensor = self.bn(self.conv(means))
        return gate[:, None, :, None, None]


_CALIBRATORS: Mapping[str, type[Calibrator]] = {
    "L": LocalCalibrator,
    "T": TemporalCalibrator,
    "S": SpatialCalibrator,
    "G": GlobalCalibrator,
}


def _xavier(layer: nn.Conv1d | nn.Conv2d) -> nn.Module:
    nn.init.xavier_normal_(layer.weight)
    return layer
