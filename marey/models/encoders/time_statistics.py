"""What frames come to over time: their mean, their spread and their order, made comparable.

    mean over t  |  deviation over t  |  mean of each third - mean over t

of every number of a frame vector: 5 d numbers. A mean alone does not know whether somebody stands
up or sits down. With `streams=2` the last t - 1 of 2 t - 1 vectors are of differences of frames
(`RGBDifferenceSpec`), and each stream is described on its own.

Before a run begins, each number is standardised by the training clips (`fit`), and each of the 3
parts of a stream is scaled to have a norm of about 1 / sqrt(parts) in all: then a clip has a norm
of about 1 however many numbers it has, and one rate and decay of a linear head suit all networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from marey.models.encoder import EncoderModule
from marey.models.encoders.features import FeatureEncoder
from marey.models.sites import TemporalOp
from marey.types import check_counts

PARTS = (1, 1, 3)
"""Vectors of mean, deviation and order."""
LEAST = 1e-3
"""The least deviation of a number, as a share of what its vector has on average."""


@dataclass(frozen=True)
class TimeStatisticsSpec(FeatureEncoder):
    """Mean, deviation and order of the frames of a clip; one vector of 5 d numbers a stream."""

    streams: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(streams=self.streams)
        if self.streams > 2:
            raise ValueError(f"streams is {self.streams}, expected 1, or 2: frames and differences")

    def build(
        self,
        temporal: Sequence[TemporalOp],
        num_segments: int,  # noqa: ARG002
    ) -> TimeStatistics:
        """The module; `temporal` must be empty."""
        return TimeStatistics(self.known_dim(temporal), self.streams)


class TimeStatistics(EncoderModule):
    """See `TimeStatisticsSpec`: [b t d] -> [b 1 5*streams*d]."""

    def __init__(self, dim: int, streams: int) -> None:
        super().__init__()
        self.dim, self.streams = dim, streams
        self.num_features = sum(PARTS) * streams * dim
        self.register_buffer("mean", torch.zeros(self.num_features))
        self.register_buffer("scale", torch.ones(self.num_features))

    def forward(self, clip: Tensor) -> Tensor:
        """One vector a clip, standardised: [b t d] -> [b 1 5*streams*d]."""
        x = (self._described(clip) - self.get_buffer("mean")) * self.get_buffer("scale")
        return x[:, None]

    @torch.no_grad()
    def fit(self, clips: Iterable[Tensor]) -> None:
        """Standardise by these clips, batches [b t d], from now on."""
        mean = self.get_buffer("mean")
        total, squares = (torch.zeros_like(mean, dtype=torch.float64) for _ in range(2))
        number = 0
        for clip in clips:
            x = self._described(clip).double()
            number, total, squares = number + len(x), total + x.sum(0), squares + (x * x).sum(0)
        if not number:
            return
        variance = (squares / number - (total / number) ** 2).clamp_min(0)
        mean.copy_(total / number)
        self.get_buffer("scale").copy_(self._scale(variance.sqrt()))

    def _scale(self, deviation: Tensor) -> Tensor:
        """What each number is multiplied by; 0 of one that is the same in all clips."""
        scales = []
        sizes = [size * self.dim for size in PARTS] * self.streams
        for part in torch.split_with_sizes(deviation, sizes):
            floored = part.clamp_min(LEAST * part.mean())
            scale = torch.where(floored > 0, 1 / floored, 0.0)
            scales.append(scale / (len(part) * len(sizes)) ** 0.5)
        return torch.cat(scales)

    def _described(self, clip: Tensor) -> Tensor:
        """The statistics [b 5*streams*d] of vectors [b t d]."""
        frames = clip.shape[1] if self.streams == 1 else (clip.shape[1] + 1) // 2
        streams = [clip] if self.streams == 1 else [clip[:, :frames], clip[:, frames:]]
        return torch.cat([part for x in streams for part in _statistics(x)], dim=1)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [b d], deviation [b d] and order [b 3d] of vectors [b t d]; zeros without vectors."""
    b, t, d = x.shape
    if not t:
        return x.new_zeros(b, d), x.new_zeros(b, d), x.new_zeros(b, 3 * d)
    mean = x.mean(dim=1)
    spread = x.std(dim=1) if t > 1 else torch.zeros_like(mean)
    thirds = F.adaptive_avg_pool1d(x.transpose(1, 2), 3).transpose(1, 2)  # they overlap by a frame
    return mean, spread, (thirds - mean[:, None]).flatten(1)
