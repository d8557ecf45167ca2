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

The batch norm of S has weights in every checkpoint but was never applied: in the release a second
definition of the method overrides the first. It is kept for its place in the state dict.

**Deviates**: L is a 2-D convolution over [t h*w], which needs no copy in channels-last memory. The
release writes single groups back in place, so that its ECal-T and ECal-S cannot be trained. If cdiv
does not divide C, it zeroes the left-over channels in blocks whose groups go round the end:
`variant="upstream"`; here they pass.

Calibrators learn like other convolutions, or, if the recipe's `calibrator_lr` says so, faster:

    calibrator_lr 5   ef_weight x5, ef_bn x5, ef_lr_weight x5 (matrices)      arXiv 2203.09694
    calibrator_lr 2   ef_weight x2, matrices too; norms stay with the norms   the earlier generation
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

from marey.models.encoder import Unused
from marey.models.layout import OnClips, fold_time, unfold_time
from marey.models.own_groups import NORMS, Group
from marey.models.sites import DEEP, Block, Site, TemporalOp, check_beside_conv
from marey.types import check_choices

ORDER = "LTSG"
Layer: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class GroupContext(TemporalOp):
    """Calibrated channel groups at `site`, or at one site a stage if that is a tuple.

    `gates` are some of the letters L, T, S and G, whose order does not matter. `norm=False` is the
    form for GST, with `site="after_conv2"`. With `alternate="stage"` stages of 23 blocks or more
    have groups in blocks of even index only.
    """

    gates: str = "LTSG"
    _: KW_ONLY
    cdiv: int = 4
    loop: bool = False
    site: Site | tuple[Site, ...] = "after_bn2"
    norm: bool = True
    alternate: Literal["stage", "none"] = "stage"
    variant: Literal["repaired", "upstream"] = "repaired"

    def __post_init__(self) -> None:
        check_choices(self)
        check_beside_conv((self.site,) if isinstance(self.site, str) else self.site, "groups")
        if not self.gates or sorted(self.gates) != sorted(set(self.gates) & set(ORDER)):
            raise ValueError(f"gates is '{self.gates}', expected some of the letters L, T, S, G")
        if self.cdiv < len(self.gates):
            raise ValueError(
                f"cdiv is {self.cdiv}, expected a group of channels for each of the "
                f"gates '{self.gates}'"
            )

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        """`ChannelGroups` at the site, or nothing in blocks that are left out."""
        if block.index % self._step(block.depths[block.stage]):
            return {}
        site = self._site(block)
        channels = block.channels_at(site)
        if channels < self.cdiv:
            raise ValueError(f"{self} makes more groups than {block} has channels: {channels}")
        width, first = channels // self.cdiv, self._before(block) % self.cdiv if self.loop else 0
        calibrators = [
            CALIBRATORS[gate](self._layers(gate, width), block.num_frames)
            for gate in ORDER
            if gate in self.gates
        ]
        wraps = first + len(calibrators) > self.cdiv
        zero_tail = self.variant == "upstream" and wraps
        return {site: ChannelGroups(calibrators, width, self.cdiv, first, zero_tail=zero_tail)}

    def _layers(self, gate: str, width: int) -> dict[str, nn.Module]:
        kind = CALIBRATORS[gate]
        dilation = 2 if gate == "S" else 1
        layer = started(kind.layer(width, width, 3, dilation), nn.init.xavier_normal_)
        if not self.norm:
            return {"conv": layer}
        return {"conv": layer, "bn": UnusedNorm(width) if gate == "S" else kind.norm(width)}

    def _step(self, depth: int) -> int:
        return 2 if self.alternate == "stage" and depth >= DEEP else 1

    def _before(self, block: Block) -> int:
        """How many blocks before this one have groups."""
        earlier = sum(-(-depth // self._step(depth)) for depth in block.depths[: block.stage])
        return earlier + block.index // self._step(block.depths[block.stage])

    def _site(self, block: Block) -> Site:
        if isinstance(self.site, str):
            return self.site
        if len(self.site) != len(block.depths):
            raise ValueError(
                f"{self} names {len(self.site)} sites, expected one for each of "
                f"{len(block.depths)} stages"
            )
        return self.site[block.stage]


class ChannelGroups(nn.Sequential):
    """Frames [b*t c h w], each of these calibrators in charge of one group of channels."""

    def __init__(
        self,
        calibrators: Iterable[Calibrator],
        width: int,
        cdiv: int,
        first: int,
        *,
        zero_tail: bool = False,
    ) -> None:
        super().__init__(*calibrators)
        self.width, self.cdiv, self.first, self.zero_tail = width, cdiv, first, zero_tail

    def forward(self, x: Tensor) -> Tensor:
        """[b*t c h w] -> the same shape."""
        groups = list(torch.split(x, self.width, dim=1))
        for i, calibrate in enumerate(self, start=self.first):
            groups[i % self.cdiv] = calibrate(groups[i % self.cdiv])
        if self.zero_tail:
            groups[self.cdiv :] = [torch.zeros_like(rest) for rest in groups[self.cdiv :]]
        return torch.cat(groups, dim=1)

    def extra_repr(self) -> str:
        """What `print` shows."""
        tail = ", zero_tail=True" if self.zero_tail else ""
        return f"width={self.width}, cdiv={self.cdiv}, first={self.first}{tail}"


class Calibrator(OnClips, nn.Sequential):
    """Frames [b*t c h w], multiplied by the sigmoid of what these layers make of a context."""

    reach: ClassVar[tuple[bool, ...]]
    """For each axis of the context behind batch and channels, whether a kernel reaches along it."""

    def __init__(self, layers: Mapping[str, nn.Module], num_frames: int) -> None:
        super().__init__(OrderedDict(layers))
        self.num_frames = num_frames

    def forward(self, x: Tensor) -> Tensor:
        """Frames [b*t c h w] -> the same shape."""
        clip = unfold_time(x, self.num_frames)
        return fold_time(clip * self.gate(clip))

    def gate(self, clip: Tensor) -> Tensor:
        """The gate in (0, 1) of clips [b t c h w]; where it does not vary, axes have length 1."""
        y = self.context(clip)
        for layer in self:
            y = layer(y)
        return self.spread(y, clip).sigmoid()

    def context(self, clip: Tensor) -> Tensor:
        """What the layers see of clips [b t c h w]: [b c] and the axes they reach along."""
        raise NotImplementedError

    def spread(self, y: Tensor, clip: Tensor) -> Tensor:
        """What the layers made of the context, as [b t c h w] with axes of length 1."""
        raise NotImplementedError

    def optim_groups(self, rates: Mapping[str, float]) -> Iterable[Group]:
        """The groups of fast calibrators, as drawn above; none at the usual rate."""
        rate = rates["calibrator"]
        if rate == 1:
            return ()
        weight, norm = Group("ef_weight", rate, 1), Group("ef_bn", rate, 0)
        matrix = Group("ef_lr_weight", rate, 1)
        for name, layer in self.named_children():
            if isinstance(layer, NORMS):
                group = norm
            else:
                group = matrix if isinstance(layer, nn.Linear) and rate == 5 else weight
            if group is not norm or rate == 5:
                group.parameters.update(
                    (f"{name}.{key}", value) for key, value in layer.named_parameters()
                )
        return weight, norm, matrix

    @classmethod
    def layer(cls, channels_in: int, channels_out: int, kernel: int, dilation: int = 1) -> Layer:
        """A layer for such contexts that keeps their size."""
        if not cls.reach:
            return nn.Linear(channels_in, channels_out, bias=False)
        sizes, gaps = (tuple(n if far else 1 for far in cls.reach) for n in (kernel, dilation))
        padding = tuple(size // 2 * gap for size, gap in zip(sizes, gaps, strict=True))
        conv: Callable[..., Layer] = nn.Conv1d if len(cls.reach) == 1 else nn.Conv2d
        return conv(channels_in, channels_out, sizes, 1, padding, gaps, bias=False)

    @classmethod
    def norm(cls, channels: int) -> nn.Module:
        """A norm for such contexts."""
        return nn.BatchNorm2d(channels) if len(cls.reach) == 2 else nn.BatchNorm1d(channels)


class LocalCalibrator(Calibrator):
    """L: each place, in neighbouring frames."""

    reach = (True, False)

    def context(self, clip: Tensor) -> Tensor:
        """[b c t h*w]."""
        return clip.transpose(1, 2).flatten(3)

    def spread(self, y: Tensor, clip: Tensor) -> Tensor:
        """[b t c h w]."""
        return y.view(clip.transpose(1, 2).shape).transpose(1, 2)


class TemporalCalibrator(Calibrator):
    """T: the mean pixel, in neighbouring frames."""

    reach = (True,)

    def context(self, clip: Tensor) -> Tensor:
        """[b c t]."""
        return clip.mean(dim=(3, 4)).transpose(1, 2)

    def spread(self, y: Tensor, clip: Tensor) -> Tensor:  # noqa: ARG002
        """[b t c 1 1]."""
        return y.transpose(1, 2)[..., None, None]


class SpatialCalibrator(Calibrator):
    """S: neighbouring places of the mean frame."""

    reach = (True, True)

    def context(self, clip: Tensor) -> Tensor:
        """[b c h w]."""
        return clip.mean(dim=1)

    def spread(self, y: Tensor, clip: Tensor) -> Tensor:  # noqa: ARG002
        """[b 1 c h w]."""
        return y[:, None]


class GlobalCalibrator(Calibrator):
    """G: the mean of the clip. With a norm, training needs two clips or more."""

    reach = ()

    def context(self, clip: Tensor) -> Tensor:
        """[b c]."""
        return clip.mean(dim=(1, 3, 4))

    def spread(self, y: Tensor, clip: Tensor) -> Tensor:  # noqa: ARG002
        """[b 1 c 1 1]."""
        return y[:, None, :, None, None]


CALIBRATORS: Mapping[str, type[Calibrator]] = {
    "L": LocalCalibrator,
    "T": TemporalCalibrator,
    "S": SpatialCalibrator,
    "G": GlobalCalibrator,
}


class UnusedNorm(Unused, nn.BatchNorm2d):
    """Lets its input pass; its weights are in every checkpoint."""

    def forward(self, x: Tensor) -> Tensor:
        """`x`."""
        return x


def started(layer: Layer, init: Callable[[Tensor], Tensor]) -> Layer:
    """`layer` with fresh weights of `init`; the matrix of G always starts near zero."""
    if isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.001)
    else:
        init(layer.weight)
    return layer
