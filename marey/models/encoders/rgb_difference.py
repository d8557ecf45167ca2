"""Frames and the differences of frames that follow each other, both seen by one picture network.

    clip [b t c h w]  ->  x_1 ... x_t, d_1 ... d_t-1     d_i = clamp(1/2 + x_i+1 - x_i, 0, 1)
                      -- network of single frames -->  [b 2t-1 d], frames first

RGB difference is a modality of TSN (arXiv 1608.00859, section 3), cheap motion: what stands still
becomes grey, what moves leaves its edges. A network of pictures that has never seen one tells
actions better by them than by the frames themselves, and best by both.

**Deviates**: TSN trains a network of its own on five stacked differences. Here a difference is one
more picture, in the middle of the range of pixels, and the weights are those of pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from marey.errors import counted
from marey.models.encoder import Encoder, EncoderModule, MadeForClips
from marey.models.encoders.resnet import ResNetSpec
from marey.models.sites import TemporalOp
from marey.types import Clip, check_numbers


@dataclass(frozen=True)
class RGBDifferenceSpec:
    """`encoder`, a network of single pictures, on frames and their differences.

    `mean` and `std` are those by which clips are normalised (`Augment`): differences are taken of
    pixels, from 0 to 1.
    """

    encoder: Encoder = field(default_factory=ResNetSpec)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    frames_per_segment: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.encoder.frames_per_segment != 1:
            raise ValueError(f"{self.encoder} takes several frames at once, expected single ones")
        for mean, std in zip(self.mean, self.std, strict=False):
            check_numbers(mean=mean)
            check_numbers(above=0, std=std)
        if not len(self.mean) == len(self.std) == self.in_channels:
            raise ValueError(
                f"mean has {counted(len(self.mean), 'value')} and std {len(self.std)}, the encoder "
                f"takes {counted(self.in_channels, 'channel')}"
            )

    @property
    def in_channels(self) -> int:
        """Channels of a frame."""
        return self.encoder.in_channels

    def on_clips(self, frames: int, size: int) -> str:
        """What is otherwise in such pictures than in those that the encoder is made for, in words.

        ValueError says why it cannot take them.
        """
        if isinstance(self.encoder, MadeForClips):
            return self.encoder.on_clips(2 * frames - 1, size)
        return ""

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> RGBDifference:
        """The module for clips of `num_segments` frames; `temporal` must be empty."""
        if temporal:
            raise ValueError(
                "differences stand behind the frames, where no temporal op is to mix them. hint: "
                "leave the ops out, or the differences"
            )
        return RGBDifference(self, self.encoder.build((), 2 * num_segments - 1))


class RGBDifference(EncoderModule):
    """See `RGBDifferenceSpec`: [b t c h w] -> [b 2t-1 d]."""

    def __init__(self, spec: RGBDifferenceSpec, network: EncoderModule) -> None:
        super().__init__()
        self.network, self.num_features = network, network.num_features
        for name, values in (("mean", spec.mean), ("std", spec.std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, clip: Clip) -> Tensor:
        """Features [b 2t-1 d]; ValueError of a network that does not look at single frames."""
        x: Tensor = self.network(self.with_differences(clip))
        if x.shape[1] != 2 * clip.shape[1] - 1:
            raise ValueError(
                f"{type(self.network).__name__} gives {x.shape[1]} vectors of {clip.shape[1]} "
                "frames and their differences, expected one each: it looks at several at once"
            )
        return x

    def tokens(self, clip: Clip) -> Tensor:
        """The places of frames and differences: [b 2t-1 n d]."""
        return self.network.tokens(self.with_differences(clip))

    def with_differences(self, clip: Clip) -> Clip:
        """The clip [b t c h w] with its differences behind it, [b 2t-1 c h w], normalised alike."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        pixels = (0.5 + (clip[:, 1:] - clip[:, :-1]) * std).clamp(0, 1)
        return torch.cat([clip, (pixels - mean) / std], dim=1)

    @property
    def token_features(self) -> int:
        """The numbers of a token."""
        return self.network.token_features

    @property
    def final_norm(self) -> nn.LayerNorm | None:
        """That of the network."""
        return self.network.final_norm

    def from_image_model(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights of the network, under the names they have here."""
        named = self.network.from_image_model(weights)
        return {f"network.{name}": weight for name, weight in named.items()}
