"""bLVNet and bLVNet-TAM (arXiv 1912.00869): one branch of Big-Little Net for each frame of a pair.

    frames 2k (even) - little -+
                               +- one map a pair, k = 0 .. P-1
    frames 2k+1 (odd) -- big --+

Counted from 0: the paper's "odd" and "even" count from 1. A `TAM` stands in the stem over all
frames, before stages 1 to 3, and before each block of stage 4 over the pairs: seven places.

**Deviates** in form, not in value: upstream copies each pair's map y[k] into both frames before the
TAM of stages 1 to 3 reads them. Here the taps that read two copies of one map are added first:

    little[k] = ReLU( sum_i w_i y[(2k + i - n//2) div 2] ),      n taps
    big[k]    = ReLU( sum_i w_i y[(2k + 1 + i - n//2) div 2] )

so that for three taps big[k] = ReLU((w_0 + w_1) y[k] + w_2 y[k+1]). Nothing is copied, and frames
wait with all even ones before all odd ones, where a batch of clips needs no index lists.

In layer4.0 the shortcut takes what the TAM made (site ``block_in``), in later blocks what the TAM
was given (``residual_in``): published checkpoints are trained so. In action-recognition-pytorch's
TAM-ResNet it is ``residual_in`` everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from marey.models.encoders.blresnet import STAGES, BLResNet, BLResNetSpec, halves
from marey.models.sites import Block, Site, TemporalOp
from marey.models.temporal.tam import TAM, Aggregation, Route
from marey.types import Clip


@dataclass(frozen=True)
class BLVNetSpec:
    """bLVNet-TAM of a depth (50, 101, 152); without its TAM if `tam` is None.

    A segment is a pair of frames: "f8x2" are 8 segments, 16 frames. Weights do not depend on their
    number. `in_channels` is 10 for five stacked (x, y) flow fields a frame.
    """

    depth: int = 50
    _: KW_ONLY
    alpha: int = 2
    beta: int = 4
    in_channels: int = 3
    tam: TAM | None = field(default_factory=TAM)
    channels: int = 64

    frames_per_segment: ClassVar[int] = 2

    def __post_init__(self) -> None:
        self.image_net()

    def image_net(self) -> BLResNetSpec:
        """The net that ImageNet weights are of."""
        return BLResNetSpec(
            self.depth,
            alpha=self.alpha,
            beta=self.beta,
            in_channels=self.in_channels,
            channels=self.channels,
        )

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> BLVNet:
        """The encoder for clips of `num_segments` pairs; `temporal` sees pairs, not frames."""
        return BLVNet(self, temporal, num_segments)


class BLVNet(BLResNet):
    """Pair features of clips: [b 2p c h w] -> [b p d]; tokens are those of pairs."""

    def __init__(self, spec: BLVNetSpec, temporal: Sequence[TemporalOp], num_pairs: int) -> None:
        added: tuple[TemporalOp, ...] = ()
        stem_tam = None
        if spec.tam:
            added = (_TAMOfPairs(spec.tam),)
            stem_tam = Aggregation(spec.tam, spec.channels, num_pairs, _between_frames(spec.tam))
        super().__init__(spec.image_net(), (*temporal, *added), num_pairs, stem_tam)
        self.num_pairs = num_pairs

    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*p d h' w'] of clips [b 2p c h w]."""
        pairs = clip.view(-1, self.num_pairs, 2, *clip.shape[2:])
        frames = pairs.permute(2, 0, 1, 3, 4, 5).flatten(0, 2)  # even frames, then odd ones
        x = self.relu(self.bn1(self.conv1(frames)))
        if hasattr(self, "stage_in"):
            x = self.stage_in(x)
        return self.trunk(self.fork(*halves(x)))


LITTLE, BIG = 0, 1


@dataclass(frozen=True)
class _TAMOfPairs(TemporalOp):
    """The TAM in stages 1 to 4, where each pair of frames has one map."""

    tam: TAM

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        channels, pairs = block.in_channels, block.num_frames
        if block.stage == len(STAGES) - 1:
            site: Site = "residual_in" if block.index else "block_in"
            return {site: Aggregation(self.tam, channels, pairs)}
        if block.index:
            return {}
        return {"stage_in": Aggregation(self.tam, channels, pairs, _between_pairs(self.tam))}


def _between_frames(tam: TAM) -> list[Route]:
    """Frame 2k + branch takes frame 2k + branch + step, which belongs to a branch too."""
    return [
        Route(branch, (branch + step) % 2, (branch + step) // 2, tap)
        for branch in (LITTLE, BIG)
        for tap, step in enumerate(tam.steps())
    ]


def _between_pairs(tam: TAM) -> list[Route]:
    """The same, both frames of a pair having one map."""
    return [route._replace(source=0) for route in _between_frames(tam)]
