"""Models of features: a clip is a few vectors that another network gave, not frames.

    features [b t d] -- encoder --> [b t' d'] -- dropout, heads, mean over t' --> scores

Behind an encoder of videos each of them is a neck (`ModelSpec.neck`), so that what was learned on
features and the network that made them are one model.

`LateAverageSpec` and `NetVLADSpec` are the two aggregators of VideoLT (arXiv 2105.02668). Its
classifier averages logits over frames, as `VideoModel` does, so that only what stands before the
last layer is built here:

    late average   h_t = ReLU(W x_t + b)                                          t' = t
    NetVLAD        a_t = softmax(BN(A x_t));  V_k = sigmoid(g_k) * sum_t a_tk x_t
                   h = ReLU6(BN(W [V_1 / |V_1|, ..., V_K / |V_K|] / norm))        t' = 1

with x batch-normalised in NetVLAD and no residual to cluster centres: what arXiv 1511.07247 calls
NetVLAD subtracts them. The sums are not divided by t, which the norms undo.

`FeaturesSpec` changes nothing: under it the heads are a linear classifier, and every method for
the long tail trains in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoder import EncoderModule, Over
from marey.models.sites import TemporalOp
from marey.types import check_counts, check_numbers


@dataclass(frozen=True)
class FeatureEncoder:
    """What encoders of features share: they take clips [b t dim], of any number of frames.

    `dim` None is "as many as the file of features has": a run fills it in. A neck takes as many as
    the encoder before it gives.
    """

    dim: int | None = None

    frames_per_segment: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_numbers(at_least=1, dim=self.dim)

    @property
    def over(self) -> Over:
        """What a neck takes of the encoder before it."""
        return "frames"

    @property
    def in_channels(self) -> int:
        """Numbers a frame has; 0 if that is not known yet."""
        return self.dim or 0

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> EncoderModule:
        """The module; `temporal` must be empty."""
        raise NotImplementedError

    def behind(self, width: int, num_segments: int) -> EncoderModule:
        """The module as a neck behind an encoder of `width`; ValueError for another dim."""
        if self.dim not in (None, width):
            raise ValueError(
                f"neck.dim is {self.dim}, the encoder gives {width} features. hint: leave it out"
            )
        return replace(self, dim=width).build((), num_segments)

    def known_dim(self, temporal: Sequence[TemporalOp]) -> int:
        """`dim`; ValueError if it is not known, or if there are temporal ops to place."""
        if self.dim is None:
            raise ValueError("the encoder's dim is none. hint: model.encoder.dim=2048")
        if temporal:
            names = ", ".join(type(op).__name__ for op in temporal)
            raise ValueError(f"a model of features has no blocks to place {names} in")
        return self.dim


@dataclass(frozen=True)
class FeaturesSpec(FeatureEncoder):
    """The features as they are; the heads are all that learns."""

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> Features:  # noqa: ARG002
        """The module; `temporal` must be empty."""
        return Features(self.known_dim(temporal))


@dataclass(frozen=True)
class LateAverageSpec(FeatureEncoder):
    """VideoLT's late average: one hidden layer a frame; `hidden` None is `dim`."""

    hidden: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(at_least=1, hidden=self.hidden)

    def build(
        self,
        temporal: Sequence[TemporalOp],
        num_segments: int,  # noqa: ARG002
    ) -> LateAverage:
        """The module; `temporal` must be empty."""
        dim = self.known_dim(temporal)
        return LateAverage(dim, self.hidden or dim)


@dataclass(frozen=True)
class NetVLADSpec(FeatureEncoder):
    """VideoLT's NetVLAD: sums of frames by cluster, then one hidden layer; one vector a clip."""

    clusters: int = 64
    hidden: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(clusters=self.clusters, hidden=self.hidden)

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> NetVLAD:  # noqa: ARG002
        """The module; `temporal` must be empty."""
        return NetVLAD(self.known_dim(temporal), self.clusters, self.hidden)


class Features(EncoderModule):
    """No layer at all; see `FeaturesSpec`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_features = dim

    def forward(self, clip: Tensor) -> Tensor:
        """The clip itself, [b t d]."""
        return clip


class LateAverage(EncoderModule):
    """See `LateAverageSpec`; the key of its layer is VideoLT's."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.num_features = hidden
        self.fc1 = nn.Linear(dim, hidden)

    def forward(self, clip: Tensor) -> Tensor:
        """One vector a frame: [b t d] -> [b t hidden]."""
        return torch.relu(self.fc1(clip))


class NetVLAD(EncoderModule):
    """See `NetVLADSpec`."""

    def __init__(self, dim: int, clusters: int, hidden: int) -> None:
        super().__init__()
        self.num_features = hidden
        self.norm = nn.BatchNorm1d(dim)
        self.assign = nn.Linear(dim, clusters, bias=False)
        self.assign_norm = nn.BatchNorm1d(clusters)
        self.gate = nn.Parameter(torch.randn(clusters, dim) / dim**0.5)
        self.hidden = nn.Linear(clusters * dim, hidden, bias=False)
        self.hidden_norm = nn.BatchNorm1d(hidden)

    def forward(self, clip: Tensor) -> Tensor:
        """One vector a clip: [b t d] -> [b 1 hidden]."""
        b, t, d = clip.shape
        x = self.norm(clip.reshape(b * t, d))
        share = self.assign_norm(self.assign(x)).softmax(dim=1).view(b, t, -1)
        sums_bkd = share.transpose(1, 2) @ x.view(b, t, d) * torch.sigmoid(self.gate)
        sums_bdk = F.normalize(sums_bkd, dim=2).transpose(1, 2)
        h = self.hidden(F.normalize(sums_bdk.flatten(1), dim=1))
        return F.relu6(self.hidden_norm(h))[:, None]
