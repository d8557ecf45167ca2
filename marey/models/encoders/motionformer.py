"""Motionformer (arXiv 2106.05392) and TimeSformer's attentions in its frame: ViTs on clips.

    clip -- a token for every 2 frames x 16 x 16 pixels, CLS before them, + place + time
         -- blocks --> norm, CLS alone -- linear, tanh (`pre_logits`) --> features [b 1 d]

    Motionformer     ModelSpec(MotionformerSpec(), (), 16, dropout=0.0), clips of 224 pixels
    -HR, -L          the same on 336 pixels; on 32 frames
    TimeSformer      MotionformerSpec(Divided()); joint attention: MotionformerSpec(Joint())
    ViT-L            MotionformerSpec(depth=24, width=1024, num_heads=16)

Places are learned on ViT's grid of 14 x 14 and resized to that of the clip, so a model takes any
size that 16 divides; it does best on that of its training. With `positions="joint"` every token has
an embedding of its own instead of the sum of one of its place and one of its time, so that clips
have 224 pixels; no published model does that. Start: ImageNet weights of timm's ViT, whose 2-D
patches become the second of the two frames of a 3-D one, the first being zero.

**Deviates**: the release carries a 2-D ``patch_embed`` that no clip meets, and with joint positions
the places of a picture; they are not here. In the last block only what leads to CLS is computed.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from marey.errors import counted
from marey.models.encoder import EncoderModule
from marey.models.encoders.attention import Attention, Trajectory
from marey.models.encoders.vit import EPS, Block, initialize, resized
from marey.models.layout import split_axis
from marey.models.sites import TemporalOp
from marey.types import Clip, check_choices, check_counts, check_numbers

PIXELS = 224
"""Of a side of a clip whose places are those of the learned grid."""


@dataclass(frozen=True)
class MotionformerSpec:
    """A ViT on clips; the default is ViT-B with the trajectory attention of the published models.

    A token covers `tubelet` frames of `patch` x `patch` pixels. Its embedding is the sum of those
    of its place and its time (`positions` "separate"), or its own ("joint"). The layers of a block
    have `mlp_ratio` times the width; `qkv_bias` is of queries, keys and values. `pre_logits` is a
    linear layer with `activation` behind the last norm. Branches are left out in training at a rate
    that rises from 0 to `drop_path` over the depth.
    """

    attention: Attention = field(default_factory=Trajectory)
    _: KW_ONLY
    depth: int = 12
    width: int = 768
    num_heads: int = 12
    tubelet: int = 2
    pre_logits: bool = True
    drop_path: float = 0.2
    in_channels: int = 3
    activation: Literal["tanh", "gelu", "relu"] = "tanh"
    positions: Literal["separate", "joint"] = "separate"
    patch: int = 16
    mlp_ratio: float = 4.0
    qkv_bias: bool = True

    frames_per_segment: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_choices(self)
        check_counts(depth=self.depth, width=self.width, num_heads=self.num_heads)
        check_counts(tubelet=self.tubelet, in_channels=self.in_channels, patch=self.patch)
        if self.width % self.num_heads:
            raise ValueError(
                f"width is {self.width}, expected a multiple of {self.num_heads} (num_heads)"
            )
        if self.patch > PIXELS:
            raise ValueError(f"patch is {self.patch}, expected at most {PIXELS}")
        check_numbers(at_least=0, below=1, drop_path=self.drop_path)
        check_numbers(at_least=1 / self.width, mlp_ratio=self.mlp_ratio)

    @property
    def grid(self) -> int:
        """Places of a side of the learned grid."""
        return PIXELS // self.patch

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> Motionformer:
        """The encoder of clips of `num_segments` frames; it has no place for temporal ops."""
        if temporal:
            raise ValueError(
                f"temporal is {', '.join(map(str, temporal))}, expected none: a "
                "Motionformer has no residual blocks of frames"
            )
        if num_segments % self.tubelet:
            raise ValueError(
                f"num_segments is {num_segments}, expected a multiple of {self.tubelet} (tubelet)"
            )
        return Motionformer(self, num_segments // self.tubelet)

    def on_clips(self, frames: int, size: int) -> str:  # noqa: ARG002
        """Empty: places are resized to the pictures. ValueError if these have no whole patches.

        With positions "joint" they must have those of the learned grid.

        >>> MotionformerSpec().on_clips(16, 60)
        Traceback (most recent call last):
        ...
        ValueError: pictures have 60 pixels, expected a multiple of 16 (patch). hint: size=64
        """
        grid = self.grid * self.patch
        if self.positions == "joint" and size != grid:
            raise ValueError(
                f"pictures have {counted(size, 'pixel')}, expected {grid}: joint positions are "
                f"learned for one size. hint: size={grid}, or model.encoder.positions=separate"
            )
        if size % self.patch:
            nearest = self.patch * max(1, round(size / self.patch))
            raise ValueError(
                f"pictures have {counted(size, 'pixel')}, expected a multiple of {self.patch} "
                f"(patch). hint: size={nearest}"
            )
        return ""

    def on_segments(self, num_segments: int, trained: int) -> str:
        """ValueError: each time has an embedding of its own; others would be another model's."""
        table = "temp_embed" if self.positions == "separate" else "st_embed"
        raise ValueError(
            f"a Motionformer learns where its {trained // self.tubelet} tokens of a place are in "
            f"time ({table}, one for every {self.tubelet} of {trained} frames); resized to "
            f"{num_segments} frames it would be another model"
        )


class Motionformer(EncoderModule):
    """Features [b 1 d] of clips [b t c h w]; h and w are multiples of the patch."""

    def __init__(self, spec: MotionformerSpec, num_frames: int) -> None:
        super().__init__()
        self.spec = spec
        width = self.num_features = spec.width
        size = (spec.tubelet, spec.patch, spec.patch)
        self.patch_embed = nn.Conv3d(spec.in_channels, width, size, stride=size)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        places = spec.grid**2
        if spec.positions == "joint":
            self.st_embed = nn.Parameter(torch.empty(1, 1 + num_frames * places, width))
        else:
            self.pos_embed = nn.Parameter(torch.empty(1, 1 + places, width))
            self.temp_embed = nn.Parameter(torch.zeros(1, num_frames, width))
        self.blocks = nn.ModuleList(
            Block(
                spec.attention,
                width,
                spec.num_heads,
                num_frames,
                mlp_ratio=spec.mlp_ratio,
                qkv_bias=spec.qkv_bias,
                drop_path=spec.drop_path * index / max(1, spec.depth - 1),
                is_last=index == spec.depth - 1,
            )
            for index in range(spec.depth)
        )
        self.norm = nn.LayerNorm(width, EPS)
        head = OrderedDict(fc=nn.Linear(width, width), act=_ACTIVATIONS[spec.activation]())
        self.pre_logits = nn.Sequential(head if spec.pre_logits else OrderedDict())
        self.apply(initialize)
        joint = spec.positions == "joint"
        for embedding in (self.cls_token, self.st_embed if joint else self.pos_embed):
            nn.init.trunc_normal_(embedding, std=0.02)

    @property
    def final_norm(self) -> nn.LayerNorm:
        """The norm behind the last block."""
        return self.norm

    def only_pooled(self) -> list[nn.Module]:
        """The last block, which is of CLS alone, and what is behind its norm."""
        return [self.blocks[-1], self.pre_logits]

    def blocks_by_stage(self) -> list[list[nn.Module]]:
        """Its blocks, each a stage."""
        return [[block] for block in self.blocks]

    def forward(self, clip: Clip) -> Tensor:
        """Features [b 1 d]; ValueError if the frames are of a size that has no tokens."""
        features: Tensor = self.pre_logits(self.norm(self.blocks[-1](self._before_last(clip))))
        return features

    def tokens(self, clip: Clip) -> Tensor:
        """What CLS gathers in the last block, normalised as its end is: [b f n d], CLS left out."""
        tokens: Tensor = self.norm(self._before_last(clip)[:, 1:])
        return split_axis(tokens, 1, clip.shape[1] // self.spec.tubelet, -1)

    def _before_last(self, clip: Clip) -> Tensor:
        """CLS and all tokens [b 1+f*p d] as the last block meets them."""
        x = self.embed(clip)
        for block in self.blocks[:-1]:
            x = block(x)
        return x

    def embed(self, clip: Clip) -> Tensor:
        """CLS and the tokens of all frames [b 1+f*p d], each with its place and time."""
        height, width, patch = *clip.shape[3:], self.spec.patch
        if height % patch or width % patch:
            raise ValueError(f"frames are {height} x {width} pixels, expected multiples of {patch}")
        x = self.patch_embed(clip.transpose(1, 2))
        positions = self._positions(x.shape[3], x.shape[4])
        x = x.flatten(3).permute(0, 2, 3, 1).flatten(1, 2)  # [b f*p d]
        return torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + positions

    def _positions(self, height: int, width: int) -> Tensor:
        """What is added to CLS and the tokens, [1 1+f*p d], of a grid of `height` x `width`."""
        if self.spec.positions == "joint":
            side = self.spec.grid
            if (height, width) != (side, side):
                raise ValueError(
                    f"frames have {height} x {width} patches, expected {side} x {side}: "
                    "joint positions are learned for one size"
                )
            return self.st_embed
        places = resized(self.pos_embed[:, 1:], height, width)
        of_tokens = places[:, None] + self.temp_embed[:, :, None]  # [1 f p d]
        return torch.cat([self.pos_embed[:, :1], of_tokens.flatten(1, 2)], dim=1)

    def from_image_model(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A ViT of timm's; what it has not keeps its start, as do the times, which are zero."""
        own = self.state_dict()
        ours = {name: own[name] for name in own if _NEW.search(name)}
        ours |= {name: w for name, w in weights.items() if not name.startswith("head.")}
        patch = ours.pop("patch_embed.proj.weight", None)
        if patch is not None:
            depth = own["patch_embed.weight"].shape[2]
            still = torch.zeros_like(patch)
            slices = [patch if t == depth // 2 else still for t in range(depth)]
            ours["patch_embed.weight"] = torch.stack(slices, dim=2)
        if (bias := ours.pop("patch_embed.proj.bias", None)) is not None:
            ours["patch_embed.bias"] = bias
        if self.spec.positions == "joint" and "pos_embed" in ours:
            cls, places = ours.pop("pos_embed").split([1, self.spec.grid**2], dim=1)
            frames = (self.st_embed.shape[1] - 1) // places.shape[1]
            ours["st_embed"] = torch.cat([cls, places.repeat(1, frames, 1)], dim=1)
        return ours


_ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
}
_NEW = re.compile(r"^(temp_embed|pre_logits\.)|\.(proj_[qkv]|timeattn|norm3)\.")
"""What ImageNet's ViT has not."""
