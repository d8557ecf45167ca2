"""Parts of Inception networks: branches side by side, whose channels are put behind each other.

                          +- 1x1 ---------------+
    stage_in - block_in --+- 1x1 - 3x3 ---------+-- block_out
                          +- 1x1 - 3x3 - 3x3 ---+
                          +- pool - 1x1 --------+

A network is a row of named parts: the convolutions of its stem, poolings and blocks. There is no
shortcut and hence no site on a residual path; ops stand around blocks, and around the stem's
convolutions where a network lists these as blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from marey.errors import counted
from marey.models.encoder import MapsEncoder
from marey.models.layers import conv
from marey.models.layout import fold_time
from marey.models.sites import AROUND, Block, Site, TemporalOp, numbered, site_modules
from marey.types import Clip, check_counts

EPS = 1e-3
"""Of the batch norms of torchvision's GoogLeNet and Inception v3, and of what is made of them."""


ALONG_TIME = "_t."
"""In the names of convolutions along time, and of their norms."""
Rename: TypeAlias = Callable[[str], "str | None"]
Part: TypeAlias = "nn.Module | Callable[[Mapping[Site, nn.Module]], nn.Module]"
"""A module, or what makes one of the modules at its sites."""


class InceptionSpec(ABC):
    """What the specs of Inception networks share, which are dataclasses with its two fields.

    The stem makes `channels`, and every layer as many times more or fewer than the published one.
    """

    in_channels: int
    channels: int

    published_channels: ClassVar[int] = 64
    frames_per_segment: ClassVar[int] = 1
    least_size: ClassVar[int] = 1
    """Pixels of a side of the smallest pictures that its poolings leave anything of."""

    def __post_init__(self) -> None:
        check_counts(in_channels=self.in_channels, channels=self.channels)

    def on_clips(self, frames: int, size: int) -> str:  # noqa: ARG002
        """Empty: it is the same network for all clips. ValueError if their pictures are too small.

        >>> from marey.models.encoders.inception_v3 import InceptionV3Spec
        >>> InceptionV3Spec().on_clips(8, 64)
        Traceback (most recent call last):
        ...
        ValueError: pictures have 64 pixels, expected at least 75 (InceptionV3Spec). hint: size=75
        """
        if size < self.least_size:
            raise ValueError(
                f"pictures have {counted(size, 'pixel')}, expected at least {self.least_size} "
                f"({type(self).__name__}). hint: size={self.least_size}"
            )
        return ""

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> InceptionNetwork:
        """The encoder with `temporal` placed in its blocks, for clips of `num_segments` frames."""
        blocks = self.blocks(temporal, num_segments)
        placed = iter(zip(blocks, site_modules(temporal, blocks), strict=True))
        modules, named = dict[str, nn.Module](), dict[str, Block]()
        for name, part in self._parts(blocks).items():
            if isinstance(part, nn.Module):
                modules[name] = part
            else:
                named[name], sites = next(placed)
                modules[name] = part(sites)
        assert len(named) == len(blocks)
        return self.network(modules, named, self.rename)

    def blocks(self, temporal: Sequence[TemporalOp], num_frames: int) -> list[Block]:
        """Every part that ops may stand around, in order, as plain data."""
        return numbered(self._blocks(), temporal, num_frames)

    def scaled(self, channels: int) -> int:
        """Channels that the network has where the published one has `channels`, rounded up."""
        return -(-channels * self.channels // self.published_channels)

    @property
    def network(self) -> type[InceptionNetwork]:
        """What is made of the parts."""
        return InceptionNetwork

    @property
    @abstractmethod
    def rename(self) -> Rename:
        """The name here of a tensor of the picture network."""
        raise NotImplementedError

    @abstractmethod
    def _blocks(self) -> Iterator[Block]:
        raise NotImplementedError

    @abstractmethod
    def _parts(self, blocks: Sequence[Block]) -> dict[str, Part]:
        """The network in the order in which it runs; those that are functions are the blocks."""
        raise NotImplementedError


class InceptionNetwork(MapsEncoder):
    """Frame features of clips: [b t c h w] -> [b t' d]; t' < t where time is pooled.

    Args:
        parts: the network in the order in which it runs, by the names of its state dict.
        blocks: which of the parts ops stand around.
        rename: the name here of a tensor of the picture network; None for one that is left out.
    """

    least_frames: ClassVar[int] = 1
    """That its last maps must have."""

    def __init__(
        self, parts: Mapping[str, nn.Module], blocks: Mapping[str, Block], rename: Rename
    ) -> None:
        super().__init__()
        self.rename = rename
        for name, part in parts.items():
            self.add_module(name, part)
        self.parts = tuple(parts)
        self.stages = [
            [name for name, _ in stage]
            for _, stage in groupby(blocks.items(), key=lambda named: named[1].stage)
        ]
        *_, last = blocks.values()
        self.num_frames, self.num_features = last.num_frames, last.out_channels

    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*t' d h' w'] of clips [b t c h w]."""
        x = fold_time(clip)
        for name in self.parts:
            x = getattr(self, name)(x)
        return x

    def blocks_by_stage(self) -> list[list[nn.Module]]:
        """Its blocks, first to last, those of a stage together."""
        return [[getattr(self, name) for name in stage] for stage in self.stages]

    def from_image_model(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`weights` under our names; convolutions along time, which pictures lack, keep theirs."""
        own = self.state_dict()
        along_time = {name: weight for name, weight in own.items() if ALONG_TIME in name}
        return along_time | {
            name: flat(weight)
            for theirs, weight in weights.items()
            if (name := self.rename(theirs)) is not None
        }


class InceptionBlock(nn.Module):
    """Branches, and modules at the sites around them: [n c h w] -> [n c' h' w']."""

    def __init__(self, branches: Mapping[str, nn.Module], sites: Mapping[Site, nn.Module]) -> None:
        super().__init__()
        for name, module in _with_sites(branches, sites).items():
            self.add_module(name, module)
        self.entry = tuple(name for name in ("stage_in", "block_in") if name in sites)
        self.branches = tuple(branches)
        self.exit = tuple(name for name in ("block_out",) if name in sites)

    def forward(self, x: Tensor) -> Tensor:
        """The channels of all branches, in their order."""
        for name in self.entry:
            x = getattr(self, name)(x)
        y = torch.cat([getattr(self, name)(x) for name in self.branches], dim=1)
        for name in self.exit:
            y = getattr(self, name)(y)
        return y


class Fork(nn.Module):
    """Two layers side by side at the end of a branch, their channels behind each other."""

    def __init__(self, a: nn.Module, b: nn.Module) -> None:
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n c h w] -> [n c' h w]."""
        return torch.cat([self.a(x), self.b(x)], dim=1)


def row(
    layers: Mapping[str, nn.Module], sites: Mapping[Site, nn.Module] | None = None
) -> nn.Sequential:
    """Layers one behind the other, and modules at the sites around them."""
    return nn.Sequential(OrderedDict(_with_sites(layers, sites or {})))


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int] = 1,
    *,
    stride: int = 1,
    padded: bool = True,
    bias: bool = False,
    eps: float = EPS,
) -> dict[str, nn.Module]:
    """The layers ``conv``, ``bn`` and ``relu``."""
    layer = conv(in_channels, out_channels, kernel, stride=stride, padded=padded, bias=bias)
    return normed(layer, eps)


def normed(
    layer: nn.Conv2d | nn.Conv3d, eps: float = EPS, suffix: str = ""
) -> dict[str, nn.Module]:
    """`layer`, its norm and ReLU, with `suffix` behind their names."""
    return {
        f"conv{suffix}": layer,
        f"bn{suffix}": nn.BatchNorm2d(layer.out_channels, eps),
        f"relu{suffix}": nn.ReLU(inplace=True),
    }


def planned(
    kind: str,
    stage: int,
    into: int,
    out: int,
    *,
    is_stem: bool = False,
    sites: tuple[Site, ...] = AROUND,
) -> Block:
    """A block, or a convolution of the stem, as plain data; the first one has a site behind it."""
    return Block(
        kind=kind,
        stage=stage,
        in_channels=into,
        mid_channels=out,
        out_channels=out,
        stride=1,
        has_skip=False,
        is_stem=is_stem,
        sites=("block_out",) if is_stem else sites,
    )


def flat(weight: Tensor) -> Tensor:
    """A tensor of a norm that files of before PyTorch 0.2 have as [1 c], as [c]."""
    return weight[0] if weight.ndim == 2 and len(weight) == 1 else weight


def _with_sites(
    layers: Mapping[str, nn.Module], sites: Mapping[Site, nn.Module]
) -> dict[str, nn.Module]:
    """In the order in which they run."""
    modules = {str(site): module for site, module in sites.items()}
    before = {name: modules[name] for name in ("stage_in", "block_in") if name in modules}
    behind = {name: modules[name] for name in ("block_out",) if name in modules}
    return before | dict(layers) | behind
