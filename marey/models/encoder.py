"""What an encoder is: plain data that builds a module from clips to features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn

from marey.models.layout import cells, unfold_time
from marey.models.sites import ResidualBlock, TemporalOp
from marey.types import Clip


class EncoderModule(nn.Module):
    """A module [b t c h w] -> [b t' d], with d = `num_features`; t' may be smaller than t."""

    num_features: int

    @property
    def token_features(self) -> int:
        """The numbers of one of its `tokens`."""
        return self.num_features

    def tokens(self, clip: Clip) -> Tensor:  # noqa: ARG002
        """What the features are pooled of: [b t c h w] -> [b t' n d], n places of each frame.

        Cells of the last map of a convolutional net, patches of a transformer. ValueError of an
        encoder that has none.
        """
        raise ValueError(
            f"{type(self).__name__} has no tokens of its frames. hint: a neck over frames"
        )

    @property
    def final_norm(self) -> nn.LayerNorm | None:
        """The norm behind the last block of a transformer; None elsewhere."""
        return None

    def only_pooled(self) -> Sequence[nn.Module]:
        """Modules that its `tokens` do not go through, but its features do."""
        return ()

    def blocks_by_stage(self) -> Sequence[Sequence[nn.Module]]:
        """Its blocks, first to last, those of a stage together; empty if it has no known ones.

        Here: residual blocks, of which a stage is what one module holds.
        """
        residual = [(n, m) for n, m in self.named_modules() if isinstance(m, ResidualBlock)]
        runs = groupby(residual, key=lambda named: named[0].rpartition(".")[0])
        return [[block for _, block in run] for _, run in runs]

    def from_image_model(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """`weights` of the image network this one is made of, under the names they have here."""
        return weights


class MapsEncoder(EncoderModule):
    """An encoder of maps: its features are the means of the last ones, its tokens their cells."""

    num_frames: int
    """Of a clip's last maps, t'."""

    def __init__(self) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, clip: Clip) -> Tensor:
        """Features [b t' d] of clips [b t c h w]."""
        return unfold_time(self.avgpool(self.maps(clip)).flatten(1), self.num_frames)

    def tokens(self, clip: Clip) -> Tensor:
        """The cells of the last maps: [b t c h w] -> [b t' n d]."""
        return cells(self.maps(clip), self.num_frames)

    @abstractmethod
    def maps(self, clip: Clip) -> Tensor:
        """What is pooled: maps [b*t' d h' w'] of clips [b t c h w]."""
        raise NotImplementedError


class Encoder(Protocol):
    """A frozen dataclass that builds an `EncoderModule`.

    A segment of a clip is `frames_per_segment` frames of `in_channels` channels.
    """

    @property
    def in_channels(self) -> int:
        """Channels of a frame."""
        ...

    @property
    def frames_per_segment(self) -> int:
        """Frames that each segment of a clip contributes."""
        ...

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> EncoderModule:
        """The module, with temporal ops placed in its blocks."""
        ...


Over: TypeAlias = Literal["frames", "tokens"]
"""What is asked of an encoder: a vector a frame, or all places of all frames."""


class Neck(Protocol):
    """A frozen dataclass that builds what stands between an encoder of videos and the heads."""

    @property
    def over(self) -> Over:
        """What it takes of the encoder."""
        ...

    def behind(self, width: int, num_segments: int) -> EncoderModule:
        """The module [b t width] -> [b t' d] behind an encoder of `width` features."""
        ...


@runtime_checkable
class Fitted(Protocol):
    """A neck, or a model of features, that follows the training clips before it learns of them."""

    def fit(self, clips: Iterable[Tensor]) -> None:
        """Take from batches [b t d] of all training clips what is kept from then on."""
        ...


@runtime_checkable
class BoundToSegments(Protocol):
    """An encoder that is bound to the number of segments it was trained on, or changes with it.

    One without this method takes any number, with the same weights and no other change.
    """

    def on_segments(self, num_segments: int, trained: int) -> str:
        """What else of the network changes on `num_segments`, having been trained on `trained`.

        In words, empty for nothing; ValueError says why it cannot take them.
        """
        ...


@runtime_checkable
class MadeForClips(Protocol):
    """An encoder that not all clips suit: its weights were made for some, or it takes no others."""

    def on_clips(self, frames: int, size: int) -> str:
        """What is otherwise in clips of so many frames of `size` pixels than in those.

        In words, empty for nothing; ValueError says why it cannot take them.
        """
        ...


class Unused(nn.Module):
    """A module kept so that its weights can be loaded and saved; it never learns.

    Inherit from it before a layer: ``class UnusedNorm(Unused, nn.BatchNorm2d)``.
    """


def freeze_unused(model: nn.Module) -> None:
    """Take what is unused out of training: a gradient that never comes stops DDP."""
    for module in model.modules():
        if isinstance(module, Unused):
            module.requires_grad_(False)
