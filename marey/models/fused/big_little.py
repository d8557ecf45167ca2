"""Big-Little networks, and bLVNet, in fewer steps and on few maps at a time.

stem     the maps of a pair of frames meet those of the pairs beside it, and go through both
         branches, while they are in cache
stages   behind the aggregation, both branches, their sum and the block after it
sums     and their ReLU belong to the 1x1 convolution at the end of the little branch
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoder import MapsEncoder
from marey.models.encoders.blresnet import BigLittleStage, BLResNet, halves
from marey.models.encoders.blvnet import BIG, LITTLE, BLVNet
from marey.models.fused.blocks import FusedBlock
from marey.models.fused.convolution import Convolution
from marey.models.fused.forms import chained, form_of, fuses
from marey.models.fused.pointwise import takes
from marey.models.fused.runs import Run, by_few
from marey.models.layout import fold_time
from marey.models.temporal.kernels import Move
from marey.models.temporal.tam import Aggregation
from marey.types import Clip


class FusedBigLittle(MapsEncoder):
    """The form of a `BLResNet`: features [b t d] of clips [b t c h w]."""

    def __init__(self, network: BLResNet) -> None:
        super().__init__()
        self.num_frames, self.num_features = network.num_frames, network.num_features
        relu = network.relu
        self.conv1 = _one(network.conv1, network.bn1, relu)
        self.b_conv0 = _one(network.b_conv0, network.bn_b0)
        self.l_conv0 = _one(network.l_conv0, network.bn_l0, relu)
        self.l_conv1 = _one(network.l_conv1, network.bn_l1, relu)
        self.l_conv2 = _one(network.l_conv2, network.bn_l2, relu)
        self.bl_init = _one(network.bl_init, network.bn_bl_init, relu)
        self.stages = nn.Sequential(
            *chained([network.layer1, network.layer2, network.layer3, network.layer4])
        )

    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*t d h' w']."""
        maps: Tensor = self.stages(self.stem(clip))
        return maps

    def stem(self, clip: Clip) -> Tensor:
        """What the first stage meets: maps [b*t c h/4 w/4] of clips [b t c h w]."""
        frames = fold_time(clip)
        return by_few(self._frames, [frames], self._widest(frames))

    def fork(self, little: Tensor, big: Tensor) -> Tensor:
        """The end of the stem: frames [n c h w] of the little and of the big branch, joined."""
        x = self.l_conv2(self.l_conv1(self.l_conv0(little)), self.b_conv0(big))
        joined: Tensor = self.bl_init(x)
        return joined

    def _frames(self, frames: Tensor) -> Tensor:
        x = self.conv1(frames)
        return self.fork(x, x)

    def _widest(self, frames: Tensor) -> int:
        return len(self.conv1.weight) * frames.shape[2] * frames.shape[3] // 4


class FusedBLVNet(FusedBigLittle):
    """The form of a `BLVNet`: pair features [b p d] of clips [b 2p c h w]."""

    def __init__(self, network: BLVNet) -> None:
        super().__init__(network)
        self.num_pairs = network.num_pairs
        self.stage_in: Aggregation | None = getattr(network, "stage_in", None)

    def stem(self, clip: Clip) -> Tensor:
        """What the first stage meets: maps [b*p c h/4 w/4]."""
        tam = self.stage_in
        if tam and tam.spec.reduce == "sum" and tam.spec.depthwise and takes(clip, clip):
            return torch.cat([maps for frames in clip for maps in self._pairs(frames, tam)])
        pairs = clip.view(-1, self.num_pairs, 2, *clip.shape[2:])
        frames = pairs.permute(2, 0, 1, 3, 4, 5).flatten(0, 2)  # even frames, then odd ones
        if tam:
            return self.fork(*halves(tam(self.conv1(frames))))
        return by_few(self._pair, halves(frames), 2 * self._widest(frames))

    def _pair(self, even: Tensor, odd: Tensor) -> Tensor:
        return self.fork(self.conv1(even), self.conv1(odd))

    def _pairs(self, frames: Tensor, tam: Aggregation) -> Iterator[Tensor]:
        """What comes of each pair [1 c h/4 w/4] of the frames [2p c h w] of a clip, in turn."""
        terms = tam.weighted()
        steps = [step for (_, _, step), _ in terms]
        near: dict[int, Tensor] = {}  # maps [2 c h/2 w/2] of the pairs within reach
        made = 0
        for pair in range(self.num_pairs):
            while made < min(self.num_pairs, pair + max(steps) + 1):
                near[made] = self.conv1(frames[2 * made : 2 * made + 2])
                made += 1
            yield self.fork(*(_blended(near, terms, pair, branch) for branch in (LITTLE, BIG)))
            near.pop(pair + min(steps), None)


def _blended(
    maps: Mapping[int, Tensor], terms: Sequence[tuple[Move, Tensor]], pair: int, branch: int
) -> Tensor:
    """What `blend` makes of the maps of pairs [2 c h w] for one frame of a pair: [1 c h w]."""
    seen = [
        (maps[pair + step][source : source + 1], weight)
        for (into, source, step), weight in terms
        if into == branch and pair + step in maps
    ]
    (own, weight), *others = seen
    total = own * weight
    for frame, weight in others:
        total.addcmul_(frame, weight)
    return total.relu_()


class FusedStage(nn.Module):
    """The form of a `BigLittleStage`: frames [n c h w] -> [n c' h' w']."""

    def __init__(self, stage: BigLittleStage) -> None:
        super().__init__()
        self.parts = stage.parts
        entry = getattr(stage, "stage_in", None)
        self.stage_in = nn.Identity() if entry is None else form_of(entry)
        self.big, self.little = form_of(stage.big), form_of(stage.little)
        self.little_e = _one(stage.little_e, stage.relu)
        self.fusion = form_of(stage.fusion)
        branches = (self.big, self.little, self.fusion)
        self.sees_frames_alone = all(
            isinstance(module, _ALONE) for branch in branches for module in branch.modules()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Frames [n c h w] -> [n c' h' w']."""
        x = self.stage_in(x)
        given = halves(x) if self.parts == 2 else (x, x)
        if not self.sees_frames_alone:
            return self._branches(*given)
        return by_few(self._branches, given, len(self.little_e.weight) * x.shape[2] * x.shape[3])

    def _branches(self, into_little: Tensor, into_big: Tensor) -> Tensor:
        little = self.little(into_little)
        big = F.interpolate(self.big(into_big), little.shape[2:])
        joined: Tensor = self.fusion(self.little_e(little, big))
        return joined


_ALONE = (nn.Sequential, nn.ModuleList, FusedBlock, Run, Convolution, nn.ReLU, nn.AvgPool2d)
"""Modules that do not mix frames, if those in them do not."""


def _one(*layers: nn.Module) -> Convolution:
    """A convolution, its norm and its ReLU."""
    (convolution,) = chained(layers)
    assert isinstance(convolution, Convolution)
    return convolution


@fuses(BigLittleStage)
def _(stage: BigLittleStage) -> nn.Module:
    return FusedStage(stage)


@fuses(BLResNet)
def _(network: BLResNet) -> nn.Module:
    return FusedBigLittle(network)


@fuses(BLVNet)
def _(network: BLVNet) -> nn.Module:
    return FusedBLVNet(network)
