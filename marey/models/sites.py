"""Named places inside a residual block, and the temporal ops that put modules there.

    stage_in - block_in -+- residual_in - conv1 - bn1 - after_bn1 - relu - after_relu1
                         |    - [conv2] - after_conv2 - bn2 - after_bn2 - relu
                         |    - conv3 - bn3 - residual_out -+
                         +- shortcut ----------------------(+)- relu - block_out

A temporal op answers, for each block, which module sits at which site; the block is then built with
it. Nothing is patched after it is built: the keys of a state dict are those of the plain network
plus ``layer1.0.<site>.*``, and `print(model)` shows the modules in the order in which they run.
Every site adds a module except ``conv2``, where the op's module replaces the block's 3x3
convolution; ``stage_in`` exists in the first block of a stage only.

A block whose branches stand side by side (Inception) has the sites around it, `AROUND`, and so has
the stem of such a network.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from torch import Tensor, nn

Site: TypeAlias = Literal[
    "stage_in",
    "block_in",
    "residual_in",
    "after_bn1",
    "after_relu1",
    "conv2",
    "after_conv2",
    "after_bn2",
    "residual_out",
    "block_out",
]
SITES: tuple[Site, ...] = get_args(Site)
AROUND: tuple[Site, ...] = ("stage_in", "block_in", "block_out")

DEEP = 23
"""Blocks from which on published code leaves every second one of a stage without ops."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Where a residual block stands in its network; what a temporal op needs to size itself.

    Stages, indices within a stage and ordinals count from 0. Ops work on clips of `num_frames`;
    `num_frames_in` differs from it only where time is pooled on entering the block. `has_skip` says
    whether its input is added to its output, `is_stem` whether its input is a picture. The last
    fields are filled in by `numbered`.
    """

    kind: str
    stage: int
    in_channels: int
    mid_channels: int
    out_channels: int
    stride: int
    groups: int = 1
    has_skip: bool = True
    is_stem: bool = False
    sites: tuple[Site, ...]
    index: int = 0
    ordinal: int = 0
    depths: tuple[int, ...] = ()
    num_frames_in: int = 1
    num_frames: int = 1

    def __str__(self) -> str:
        return f"{self.kind} {self.index} of stage {self.stage}"

    @property
    def in_deep_stage(self) -> bool:
        """Whether its stage has so many blocks that published code leaves out every second one."""
        return self.depths[self.stage] >= DEEP

    def channels_at(self, site: Site) -> int:
        """How many channels an op at `site` gets."""
        if site in ("stage_in", "block_in", "residual_in"):
            return self.in_channels
        return self.out_channels if site in ("residual_out", "block_out") else self.mid_channels


@runtime_checkable
class StartsFromConv(Protocol):
    """A module at ``conv2`` that can start from the weight of the convolution it replaces."""

    def start_from(self, weight: Tensor) -> Mapping[str, Tensor]:
        """Its whole state dict, begun with a 2-D convolution's `weight`."""
        ...


class TemporalOp(Protocol):
    """A frozen dataclass that says which modules it adds to a block. Inherit from it explicitly."""

    @abstractmethod
    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """The new modules of this op in `block`, by site; empty where it leaves the block alone."""
        raise NotImplementedError

    def frames_in_stage(self, stage: int, num_frames: int) -> int:  # noqa: ARG002
        """How many frames a clip has in `stage`, having had `num_frames` before it."""
        return num_frames

    def on_segments(self, num_segments: int, trained: int) -> str:  # noqa: ARG002
        """What else changes on another number of segments: see `BoundToSegments`."""
        return ""


def check_beside_conv(sites: Iterable[Site], what: str) -> None:
    """ValueError for ``conv2`` among the sites of an op that stands beside other layers."""
    if "conv2" in sites:
        raise ValueError(
            f"site is 'conv2', where the {what} would replace the convolution; "
            "expected 'after_conv2' or another"
        )


def site_modules(ops: Sequence[TemporalOp], blocks: Sequence[Block]) -> list[dict[Site, nn.Module]]:
    """The modules of all `ops` in each of `blocks`; ValueError for an op that adds nothing at all.

    The order of `ops` does not matter: each site has one place in a block, and holds one module.
    """
    claims = [[(op, op.sites(block)) for op in ops] for block in blocks]
    for op, *claimed in zip(ops, *claims, strict=True):
        if not any(sites for _, sites in claimed):
            raise ValueError(f"{op} finds no place in a network of {blocks[0].kind}s")
    return [merge(claim, block) for claim, block in zip(claims, blocks, strict=True)]


def merge(
    claims: Iterable[tuple[TemporalOp, Mapping[Site, nn.Module]]], block: Block
) -> dict[Site, nn.Module]:
    """What ops want in `block`, as one; ValueError if a site is taken twice or does not exist."""
    modules: dict[Site, nn.Module] = {}
    owners: dict[Site, TemporalOp] = {}
    for op, sites in claims:
        for site, module in sites.items():
            if site not in block.sites:
                raise ValueError(
                    f"{op} wants the site '{site}', which {block} lacks; it has "
                    f"{', '.join(block.sites)}"
                )
            if site in owners:
                raise ValueError(f"{owners[site]} and {op} both want the site '{site}' of {block}")
            modules[site], owners[site] = module, op
    return modules


def frames_in_stage(ops: Iterable[TemporalOp], stage: int, num_frames: int) -> int:
    """How many frames a clip has in `stage` after every op had its say."""
    for op in ops:
        num_frames = op.frames_in_stage(stage, num_frames)
    return num_frames


def numbered(
    blocks: Iterable[Block],
    temporal: Sequence[TemporalOp],
    num_frames: int,
    depths: tuple[int, ...] | None = None,
) -> list[Block]:
    """All `blocks` of a network in order, each with its numbers and the frames of a clip there.

    `depths` are the blocks of each stage, counted if they are not given. Only the first block of a
    stage keeps the site ``stage_in``.
    """
    stages = [list(stage) for _, stage in groupby(blocks, key=lambda block: block.stage)]
    placed: list[Block] = []
    for number, stage in enumerate(stages):
        num_frames_in, num_frames = num_frames, frames_in_stage(temporal, number, num_frames)
        for index, block in enumerate(stage):
            placed.append(
                replace(
                    block,
                    index=index,
                    ordinal=len(placed),
                    depths=depths or tuple(map(len, stages)),
                    num_frames_in=num_frames if index else num_frames_in,
                    num_frames=num_frames,
                    sites=tuple(site for site in block.sites if not index or site != "stage_in"),
                )
            )
    return placed


def is_added(name: str) -> bool:
    """Whether a parameter or module of this dotted name was added to the network by an op."""
    return any(part in SITES and part != "conv2" for part in name.split("."))


class ResidualBlock(nn.Module):
    """Named modules, run in order; a step that is a site without an op is left out."""

    steps: ClassVar[tuple[str, ...]]
    """The residual path, from after ``block_in`` to before the sum."""
    ends: ClassVar[tuple[str, ...]] = ("relu", "block_out")
    """What comes after the sum."""

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        sites: Mapping[Site, nn.Module],
        *,
        has_skip: bool = True,
    ) -> None:
        super().__init__()
        modules = dict(layers)
        modules |= {str(site): module for site, module in sites.items()}  # conv2 is replaced
        for name in ("stage_in", "block_in", *self.steps, "downsample", *self.ends):
            if name in modules:
                self.add_module(name, modules[name])
        self.has_skip = has_skip
        paths = (("stage_in", "block_in"), self.steps, ("downsample",), self.ends)
        self.entry, self.residual, self.shortcut, self.exit = (
            tuple(name for name in path if name in modules) for path in paths
        )

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n out_channels h/stride w/stride]."""
        x = self._run(self.entry, x)
        y = self._run(self.residual, x)
        if self.has_skip:
            shortcut = self._run(self.shortcut, x)
            y = y.add_(shortcut) if self._ends_in_norm else y + shortcut
        return self._run(self.exit, y)

    @property
    def _ends_in_norm(self) -> bool:
        """Whether a batch norm makes the residual: its gradient needs only what went into it, so
        the sum may be written in its place.
        """
        return isinstance(getattr(self, self.residual[-1]), nn.BatchNorm2d)

    def _run(self, names: Iterable[str], x: Tensor) -> Tensor:
        for name in names:
            x = getattr(self, name)(x)
        return x
