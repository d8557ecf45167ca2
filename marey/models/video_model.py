"""A video model: an encoder that turns clips into frame features, and one linear head a label.

    clip [b t c h w] -- encoder --> [b t' d] -- neck --> features [b t" d"]
                                             -- dropout, heads, mean over t" --> scores

It is split before the heads because long-tail methods work between the halves, and behind the
encoder because one that is frozen need see a clip only once: what it gave may be put in place of
the clip. Most models have no neck. This is the wrapper of TSN (arXiv 1608.00859): logits are
averaged over the frames, not probabilities. Its segment consensus may be the highest score of a
class, or the mean of its K highest, as well (top-K pooling, arXiv 1705.02953, section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Literal, TypeAlias

from torch import Tensor, nn

from marey.errors import counted
from marey.modality import STACKS, Modality
from marey.models.encoder import BoundToSegments, Encoder, EncoderModule, Neck, Over, freeze_unused
from marey.models.encoders.features import FeatureEncoder
from marey.models.encoders.resnet import ResNetSpec
from marey.models.imagenet import adapt_torchvision, misfit
from marey.models.lora import LoRA, add_lora
from marey.models.shapes import shapes_only
from marey.models.sites import TemporalOp, is_added
from marey.types import (
    Clip,
    Scores,
    check_choices,
    check_counts,
    check_numbers,
    check_segments,
)

Consensus: TypeAlias = Literal["avg", "max"] | int
"""What the scores of a clip are of those of its frames; a number is that of the highest."""


def consensus_of(scores: Tensor, rule: Consensus) -> Tensor:
    """Scores [b k] of clips, of those of their frames [b t k] (`ModelSpec.consensus`).

    >>> import torch
    >>> consensus_of(torch.tensor([[[0.0], [1.0], [5.0]]]), 2)
    tensor([[3.]])
    """
    if rule == "avg":
        return scores.mean(dim=1)
    if rule == "max":
        return scores.amax(dim=1)
    return scores.topk(min(rule, scores.shape[1]), dim=1).values.mean(dim=1)


@dataclass(frozen=True)
class Head:
    """One label to predict: its name in labels and scores, and its number of classes.

    several: a clip may have several of them, so each has a probability of its own (sigmoid).
    """

    name: str = "label"
    num_classes: int = 400
    several: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or hasattr(nn.ModuleDict, self.name):
            raise ValueError(
                f"head name is '{self.name}', expected a plain word that is no method of a torch "
                "module, such as 'verb'"
            )
        check_counts(**{f"num_classes of head '{self.name}'": self.num_classes})


@dataclass(frozen=True)
class ModelSpec:
    """Everything that decides what a model computes, as plain data.

    TSN is `ModelSpec(ResNetSpec(50))`, TSM `ModelSpec(ResNetSpec(50), (TSM(),))`.

    Args:
        encoder: what turns the frames of a clip into features.
        temporal: ops that stand in the encoder's blocks, in any order.
        neck: what stands between encoder and heads: any model of features, of which `dim` may be
            left out. One that is `over` tokens takes those of all frames [b t*n d], not [b t d].
        num_segments: segments of a clip; its frames are these times the encoder's
            `frames_per_segment`.
        modality: what a frame of a clip is; it decides the encoder's `in_channels` (3, 10 or 15),
            what is read of a video, and how it is normalised and mirrored (`marey.modality`). With
            "rgb", an encoder of other than 3 channels takes tensors of your own.
        heads: one linear layer for each label that is predicted.
        dropout: probability with which a feature is left out before the heads.
        partial_bn: whether every batch norm of the encoder but the first keeps its ImageNet
            statistics (see `VideoModel`).
        lora: how the encoder learns where it does; by default by all of its weights. Training adds
            it (`VideoModel.add_lora`), and what is learned is added to the weights: a model to use
            has none.
        consensus: what the scores of a clip are of those of its frames (of what the heads see):
            their mean, of each class the highest, or the mean of its K highest, of all where there
            are fewer.
        head_std: the deviation of a head's fresh weights, its biases being 0: 0.001 in TSN's
            wrapper, 0.02 in transformers; None draws both as `torch.nn.Linear` does.

    >>> ModelSpec(ResNetSpec(18), num_segments=4, heads=(Head("action", 5),)).clip_shape(224)
    (4, 3, 224, 224)
    """

    encoder: Encoder = field(default_factory=ResNetSpec)
    temporal: tuple[TemporalOp, ...] = ()
    _: KW_ONLY
    num_segments: int = 8
    modality: Modality = "rgb"
    neck: Neck | None = None
    heads: tuple[Head, ...] = (Head("label", 400),)
    dropout: float = 0.5
    partial_bn: bool = False
    lora: LoRA | None = None
    head_std: float | None = 0.001
    consensus: Consensus = "avg"

    def __post_init__(self) -> None:
        check_choices(self)
        check_segments(num_segments=self.num_segments)
        check_numbers(at_least=0, below=1, dropout=self.dropout)
        check_numbers(at_least=0, head_std=self.head_std)
        if isinstance(self.consensus, int):
            check_counts(consensus=self.consensus)
            if not self.takes_features and self.consensus > self.num_segments:
                raise ValueError(
                    f"consensus is {self.consensus}, the highest of "
                    f"{counted(self.num_segments, 'segment')}. hint: consensus=avg is of all"
                )
        names = [head.name for head in self.heads]
        if len(set(names)) < len(names):
            raise ValueError(f"heads are named {', '.join(names)}, expected different names")
        channels = STACKS[self.modality].channels
        if self.modality != "rgb" and self.encoder.in_channels != channels:
            raise ValueError(
                f"modality is {self.modality}, of {channels} channels, but the encoder takes "
                f"{self.encoder.in_channels}. hint: encoder.in_channels={channels}, which "
                f"modality={self.modality} of a recipe sets as well"
            )
        if self.takes_features:
            parts = {"neck": self.neck, "LoRA": self.lora, "temporal ops": self.temporal}
            if given := [name for name, part in parts.items() if part]:
                raise ValueError(
                    f"encoder {self.encoder} takes features already, expected no "
                    f"{' and no '.join(given)}"
                )

    @property
    def several(self) -> frozenset[str]:
        """The heads whose logits are of each class alone (`Head.several`), by name."""
        return frozenset(head.name for head in self.heads if head.several)

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.num_segments * self.encoder.frames_per_segment

    @property
    def takes_features(self) -> bool:
        """Whether a clip is features [t d] of another network, of any t, and not frames."""
        return isinstance(self.encoder, FeatureEncoder)

    @property
    def over(self) -> Over:
        """What the neck takes of the encoder; a vector a frame without one."""
        return "frames" if self.neck is None else self.neck.over

    def clip_shape(self, size: int) -> tuple[int, ...]:
        """The shape of one clip: [t c size size], or [t d] of features."""
        shape = (self.frames, self.encoder.in_channels)
        return shape if self.takes_features else (*shape, size, size)

    def with_segments(self, num_segments: int) -> ModelSpec:
        """The same model for clips of `num_segments`; its weights are the same tensors.

        ValueError says which part of it takes no other number than it was trained on, and why.

        >>> ModelSpec(ResNetSpec(50), num_segments=3).with_segments(25).frames
        25
        """
        self.changes_on(num_segments)
        return replace(self, num_segments=num_segments)

    def with_frames(self, frames: int) -> ModelSpec:
        """`with_segments` for clips of so many frames; a model of features takes any as it is."""
        return self if self.takes_features else self.with_segments(self.segments_of(frames))

    def segments_of(self, frames: int) -> int:
        """The segments of a clip of so many frames; ValueError if they are no whole ones."""
        length = self.encoder.frames_per_segment
        if frames % length:
            there = counted(frames, "frame")
            raise ValueError(f"{there}, expected whole segments of {length} frames each")
        return frames // length

    def changes_on(self, num_segments: int) -> tuple[str, ...]:
        """What is otherwise than in training on `num_segments`, part by part, in words.

        ValueError as `with_segments`.
        """
        if num_segments == self.num_segments:
            return ()
        parts = (self.encoder, *self.temporal)
        bound = [part for part in parts if isinstance(part, BoundToSegments)]
        changes = [part.on_segments(num_segments, self.num_segments) for part in bound]
        return tuple(filter(None, changes))

    def build(self) -> VideoModel:
        """A model with fresh weights; under `shapes_only()` it costs nothing."""
        if not self.heads:
            raise ValueError("a model needs at least one head; the spec has none")
        return VideoModel(self)


class VideoModel(nn.Module):
    """Scores of every head from a clip [b t c h w].

    Keys of the state dict: ``encoder.`` and then torchvision's names, ``neck.``, ``heads.<name>.``.

    While training with partial batch norm, every `BatchNorm2d` of the encoder except the first
    keeps its running statistics, and its scale and shift are not trained. **Deviates**: norms that
    temporal ops added are never frozen, since they have no ImageNet statistics to keep; upstream
    freezes the 2-D ones among them.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = spec.encoder.build(spec.temporal, spec.num_segments)
        width = self.encoded_width()
        self.neck = None if spec.neck is None else spec.neck.behind(width, spec.num_segments)
        self.dropout = nn.Dropout(spec.dropout)
        features = width if self.neck is None else self.neck.num_features
        self.heads = nn.ModuleDict(
            {head.name: nn.Linear(features, head.num_classes) for head in spec.heads}
        )
        self.reset_heads()
        self.partial_bn = spec.partial_bn
        self.learns_by_lora = False
        self.freeze_unused()
        self.set_partial_bn(spec.partial_bn)

    @property
    def frames(self) -> int:
        """Frames a clip must have."""
        return self.spec.frames

    def encoded_width(self, over: Over | None = None) -> int:
        """The numbers of a vector that `encode` gives."""
        tokens = (over or self.spec.over) == "tokens" and isinstance(self.encoder, EncoderModule)
        return self.encoder.token_features if tokens else self.encoder.num_features

    def forward(self, clip: Clip) -> Scores:
        """Scores [b k] of every head from clips [b t c h w], or what `encode` gave of them."""
        return self.classify(self.features(clip))

    def features(self, clip: Clip) -> Tensor:
        """Features [b t' d], which the heads see, of clips or of what `encode` gave of them."""
        is_encoded = clip.ndim == 3 and not self.spec.takes_features
        x = self._checked(clip) if is_encoded else self.encode(clip)
        return x if self.neck is None else self.neck(x)

    def encode(self, clip: Clip, over: Over | None = None) -> Tensor:
        """What the encoder gives of a clip: [b t' d], or its tokens [b t'*n d].

        ValueError if the clip's frames or channels are not the spec's, or there are no tokens.

        Args:
            clip: [b t c h w], or [b t d] of features.
            over: which of the two; by default what the neck takes.
        """
        self._check(clip)
        tokens = (over or self.spec.over) == "tokens"
        x: Tensor = self._tokens(clip) if tokens else self.encoder(clip)
        return x

    def classify(self, x: Tensor) -> Scores:
        """Scores [b k] of every head from features [b t d]: dropout, linear, consensus over t."""
        x = self.dropout(x)
        return {
            name: consensus_of(head(x), self.spec.consensus) for name, head in self.heads.items()
        }

    def with_frames(self, frames: int) -> VideoModel:
        """This model for clips of so many frames, which shares its weights; itself for its own.

        ValueError as `ModelSpec.with_frames`, and if weights of the encoder depend on the frames
        though it does not say so.
        """
        spec = self.spec.with_frames(frames)
        if spec == self.spec:
            return self
        other = self._without_weights(spec)
        weights = self.encoder.state_dict()
        if reason := misfit(other.encoder.state_dict(), weights):
            raise ValueError(f"{spec.encoder} has other weights for {frames} frames; {reason}")
        other.encoder.load_state_dict(weights, assign=True)
        other.neck, other.heads = self.neck, self.heads
        _share_tables(other.encoder, self.encoder)
        return other.train(self.training)

    def with_weights(self, weights: Mapping[str, Tensor]) -> VideoModel:
        """The same model of these weights, which are not copied."""
        other = self._without_weights(self.spec)
        other.load_state_dict(weights, assign=True)
        _share_tables(other, self)
        return other.train(self.training)

    def train(self, mode: bool = True) -> VideoModel:
        """The model in training (or evaluation) mode; frozen batch norms stay in evaluation."""
        super().train(mode)
        if mode and self.partial_bn:
            for norm in self._later_norms():
                norm.eval()
        return self

    def set_partial_bn(self, on: bool) -> None:
        """Freeze all batch norms of the encoder but the first, or set them free again."""
        self.partial_bn = on
        for norm in self._later_norms():
            norm.requires_grad_(not on)
        self.train(self.training)

    def freeze_unused(self) -> None:
        """Take out of training what no score depends on."""
        freeze_unused(self.encoder)
        if self.spec.over == "tokens" and isinstance(self.encoder, EncoderModule):
            for module in self.encoder.only_pooled():
                module.requires_grad_(False)

    def load_encoder(self, weights: Mapping[str, Tensor]) -> None:
        """Start the encoder from a torchvision state dict; CheckpointError unless it fits."""
        self.encoder.load_state_dict(adapt_torchvision(weights, self.encoder))

    def add_lora(self) -> None:
        """Put fresh additions beside layers of the encoder, if the spec has some (`LoRA`).

        ValueError if there are no such layers, or peft is not installed.
        """
        if self.spec.lora is not None:
            add_lora(self.encoder, self.spec.lora)
            self.learns_by_lora = True

    def reset_heads(self) -> None:
        """Give every head fresh weights."""
        for head in self.heads.values():
            assert isinstance(head, nn.Linear)
            if self.spec.head_std is None:
                head.reset_parameters()
                continue
            nn.init.normal_(head.weight, std=self.spec.head_std)
            nn.init.zeros_(head.bias)

    def _without_weights(self, spec: ModelSpec) -> VideoModel:
        """A model of `spec` that learns as this one does; its weights are shapes only."""
        with shapes_only():
            other = VideoModel(spec)
            if self.learns_by_lora:
                other.add_lora()
        return other

    def _later_norms(self) -> list[nn.BatchNorm2d]:
        norms = [
            module
            for name, module in self.encoder.named_modules()
            if isinstance(module, nn.BatchNorm2d) and not is_added(name)
        ]
        return norms[1:]

    def _tokens(self, clip: Clip) -> Tensor:
        if not isinstance(self.encoder, EncoderModule):
            raise ValueError(f"{type(self.encoder).__name__} has no tokens: it is no EncoderModule")
        return self.encoder.tokens(clip).flatten(1, 2)

    def _checked(self, encoded: Tensor) -> Tensor:
        width = self.encoded_width()
        if encoded.shape[2] != width:
            shape = list(encoded.shape)
            raise ValueError(f"what is encoded is {shape}, expected [batch, vectors, {width}]")
        return encoded

    def _check(self, clip: Clip) -> None:
        frames, channels = self.frames, self.spec.encoder.in_channels
        if self.spec.takes_features:
            if clip.ndim != 3 or clip.shape[2] != channels:
                raise ValueError(
                    f"clip is {list(clip.shape)}, expected features [batch, frames, {channels}]"
                )
        elif clip.ndim != 5 or tuple(clip.shape[1:3]) != (frames, channels):
            raise ValueError(
                f"clip is {list(clip.shape)}, expected [batch, {frames} frames, {channels} "
                "channels, height, width]"
            )


def _share_tables(one: nn.Module, other: nn.Module) -> None:
    """Give `one` the buffers of `other` that no state dict has: tables that its building made."""
    theirs = dict(other.named_modules())
    for path, module in one.named_modules():
        for name in module._non_persistent_buffers_set:
            module._buffers[name] = theirs[path]._buffers[name]
