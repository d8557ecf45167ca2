"""Residual blocks in fewer steps, and the stems of the networks made of them.

The sum with the shortcut, and the ReLU behind it, belong to the last convolution of the residual
path, unless an op stands behind that. Where nobody else can look at it, the block's input is
overwritten by its output: a map less to write, and no new memory.
"""

from __future__ import annotations

from torch import Tensor, nn

from marey.models.encoders.resnet import ResNet
from marey.models.fused.convolution import Convolution
from marey.models.fused.forms import chained, form_of, fuses, joins
from marey.models.fused.runs import in_runs
from marey.models.sites import ResidualBlock


class FusedBlock(nn.Module):
    """Frames [n c h w] -> [n c' h' w']: the form of a `ResidualBlock`."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        entry, residual, shortcut, ends = (
            [getattr(block, name) for name in names]
            for names in (block.entry, block.residual, block.shortcut, block.exit)
        )
        steps, last = chained(residual), None
        if block.has_skip and _adds(steps[-1]):
            last, *ends = chained([steps.pop(), *ends])
        # a convolution cannot write over what it reads
        self.reads_maps_of_its_own = any(isinstance(step, Convolution) for step in steps)
        steps = in_runs(steps if last is None else [*steps, last])
        last = None if last is None else steps.pop()
        self.has_skip, self.last = block.has_skip, last
        self.entry, self.residual = nn.Sequential(*chained(entry)), nn.Sequential(*steps)
        self.shortcut, self.exit = (nn.Sequential(*chained(path)) for path in (shortcut, ends))
        self.adds_maps_of_its_own = bool(shortcut) and isinstance(self.shortcut[-1], Convolution)

    def forward(self, x: Tensor, *, overwrite: bool = False) -> Tensor:
        """Frames [n c h w] -> [n c' h' w']; `overwrite` says that `x` may be written over."""
        x = self.entry(x)
        y: Tensor = self.residual(x)
        if self.last is not None:
            free = self.adds_maps_of_its_own or (overwrite and not len(self.shortcut))
            y = self.last(y, self.shortcut(x), overwrite=free and self.reads_maps_of_its_own)
        elif self.has_skip:
            y = y + self.shortcut(x)
        ended: Tensor = self.exit(y)
        return ended


class Stage(nn.Sequential):
    """Blocks in a row: what one gives only the next one sees."""

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n c' h' w']."""
        for number, block in enumerate(self):
            x = block(x, overwrite=number > 0)
        return x


def _adds(form: nn.Module) -> bool:
    return isinstance(form, Convolution) and form.activation == "none"


@joins(FusedBlock, FusedBlock)
def _(first: FusedBlock, second: FusedBlock) -> nn.Module:
    return Stage(first, second)


@joins(FusedBlock, Stage)
def _(block: FusedBlock, stage: Stage) -> nn.Module:
    return Stage(block, *stage)


@fuses(ResidualBlock)
def _(block: ResidualBlock) -> nn.Module:
    return FusedBlock(block)


@fuses(ResNet)
def _(network: ResNet) -> nn.Module:
    stem = ("conv1", "bn1", "relu", "maxpool")
    network.conv1 = nn.Sequential(*chained(getattr(network, name) for name in stem))
    for name, child in network.named_children():
        if name != "conv1":
            setattr(network, name, nn.Identity() if name in stem else form_of(child))
    return network
