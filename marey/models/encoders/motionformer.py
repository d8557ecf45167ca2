"""Motionformer (arXiv 2106.05392) and TimeSformer's attentions in its frame: ViTs on clips.

    clip -- a token for every 2 frames x 16 x 16 pixels, CLS before them, + place + time
         -- blocks --> norm, CLS alone -- linear, tanh (`pre_logits`) --> features [b 1 d]

    Motionformer     ModelSpec(MotionformerSpec(), (), 16, dropout=0.0), clips of 224 pixels
    -HR, -L          the same on 336 pixels; on 32 frames
    TimeSformer      MotionformerSpec(Divided()); joint attention: MotionformerSpec(Joint())
    ViT-L            MotionformerSpec(depth=24, width=1024, num_heads=16)

Places are learned on ViT's grid of 14 x 14 and resized to that of the clip, so a model takes any
size that 16 divides; it does best on that of its training. Start: ImageNet weights of timm's ViT,
whose 2-D patches become the second of the two frames of a 3-D one, the first being zero.

**Deviates**: the release carries a 2-D ``patch_embed`` that no clip meets; it is not here. In the
last block only what leads to CLS is computed. Upstream can also learn one embedding a token
(``st_embed``), which no published model does; that is not here.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from marey.models.encoder import EncoderModule
from marey.models.encoders.attention import Attention, Trajectory
from marey.models.encoders.vit import EPS, Block, initialize, resized
from marey.models.sites import TemporalOp
from marey.types import Clip, check_choices, check_counts, check_numbers

PATCH = 16
"""Pixels of a side of a token."""
GRID = 14
"""Places of a side of the learned grid."""


@dataclass(frozen=True)
class MotionformerSpec:
    """A ViT on clips; the default is ViT-B with the trajectory attention of the published models.

    A token covers `tubelet` frames. `pre_logits` is a linear layer with `activation` behind the
    last norm.
    Branches are left out in training at a rate that rises from 0 to `drop_path` over the depth.
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

    frames_per_segment: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_choices(self)
        check_counts(depth=self.depth, width=self.width, num_heads=self.num_heads)
        check_counts(tubelet=self.tubelet, in_channels=self.in_channels)
        if self.width % self.num_heads:
            raise ValueError(
                f"width is {self.width}, expected a multiple of {self.num_heads} (num_heads)"
            )
        check_numbers(at_least=0, below=1, drop_path=self.drop_path)

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


class Motionformer(EncoderModule):
    """Features [b 1 d] of clips [b t c h w]; h and w are multiples of 16."""

    def __init__(self, spec: MotionformerSpec, num_frames: int) -> None:
        super().__init__()
        width = self.num_features = spec.width
        size = (spec.tubelet, PATCH, PATCH)
        self.patch_embed = nn.Conv3d(spec.in_channels, width, size, stride=size)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + GRID * GRID, width))
        self.temp_embed = nn.Parameter(torch.zeros(1, num_frames, width))
        self.blocks = nn.ModuleList(
            Block(
                spec.attention,
                width,
                spec.num_heads,
                num_frames,
                drop_path=spec.drop_path * index / max(1, spec.depth - 1),
                is_last=index == spec.depth - 1,
            )
            for index in range(spec.depth)
        )
        self.norm = nn.LayerNorm(width, EPS)
        head = OrderedDict(fc=nn.Linear(width, width), act=_ACTIVATIONS[spec.activation]())
        self.pre_logits = nn.Sequential(head if spec.pre_logits else OrderedDict())
        self.apply(initialize)
        for embedding in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(embedding, std=0.02)

    @property
    def final_norm(self) -> nn.LayerNorm:
        """The norm behind the last block."""
        return self.norm

    def forward(self, clip: Clip) -> Tensor:
        """Features [b 1 d]; ValueError if the frames are no multiple of 16 pixels."""
        x = self.tokens(clip)
        for block in self.blocks:
            x = block(x)
        features: Tensor = self.pre_logits(self.norm(x))
        return features

    def tokens(self, clip: Clip) -> Tensor:
        """CLS and the tokens of all frames [b 1+f*p d], each with its place and time."""
        if clip.shape[3] % PATCH or clip.shape[4] % PATCH:
            raise ValueError(
                f"frames are {clip.shape[3]} x {clip.shape[4]} pixels, expected "
                f"multiples of {PATCH}"
            )
        x = self.patch_embed(clip.transpose(1, 2))
        positions = resized(self.pos_embed[:, 1:], x.shape[3], x.shape[4])
        x = x.flatten(3).permute(0, 2, 3, 1)  # [b f p d]
        x = x + (positions[:, None] + self.temp_embed[:, :, None])
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(x.shape[0], -1, -1)
        return torch.cat([cls, x.flatten(1, 2)], dim=1)

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
        return ours


_ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
}
_NEW = re.compile(r"^(temp_embed|pre_logits\.)|\.(proj_[qkv]|timeattn|norm3)\.")
"""What ImageNet's ViT has not."""
