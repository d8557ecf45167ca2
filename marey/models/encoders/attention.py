"""Self-attention over the tokens of a clip: joint, divided into time and space, by trajectories.

Tokens are [b n d]: one that stands for the clip (CLS), then P places of each of F frames, frame by
frame. q, k, v come from one matrix; CLS looks at all n tokens, whatever the others do:

    joint       every token looks at all n tokens
    divided     at the same place of all frames (time), then at all places of its frame (space), and
                at CLS both times (TimeSformer, arXiv 2102.05095)
    trajectory  z[f, s] = sum_p softmax_p(q[s] . k[f, p] / sqrt(d)) v[f, p]      where s was in f
                q2[s] = W_q z[f(s), s],   k2[f, s] = W_k z[f, s]
                y[s] = sum_f softmax_f(q2[s] . k2[f, s] / sqrt(d)) v2[f, s]     along its trajectory

(Motionformer, arXiv 2106.05392, eq. 3-7). The paper has v2 = W_v z ("corrected"). The published
code computes it and then takes v2 = z, and so do all published weights ("released").

The same numbers for less, since q2 . W_k z = (q2 W_k) . z and the weights of a softmax sum to 1:

    keys        W_k is folded into the query, S x D x D instead of F x S x D x D; its bias is the
                same for all f and cancels
    values      W_v is applied to the sum, not to each frame

**Deviates**: what changes no result is not there: W_v and its bias where they are not used, the
bias of W_k, and, in the last block, whatever does not lead to CLS (`ClsAttention`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoders.frame_attention import Exact, FrameAttention
from marey.models.layout import split_axis
from marey.models.lora import weight_of
from marey.types import check_choices


@dataclass(frozen=True)
class Joint:
    """Every token looks at every other."""

    def branches(
        self,
        width: int,
        num_heads: int,
        num_frames: int,  # noqa: ARG002
        *,
        bias: bool = True,
    ) -> list[SelfAttention]:
        """The attentions of a block, each added to its tokens after the one before."""
        return [JointAttention(width, num_heads, bias)]


@dataclass(frozen=True)
class Divided:
    """Tokens look along time, and then across their frame."""

    def branches(
        self, width: int, num_heads: int, num_frames: int, *, bias: bool = True
    ) -> list[SelfAttention]:
        """The attentions of a block, each added to its tokens after the one before."""
        return [
            TimeAttention(width, num_heads, num_frames, bias),
            SpaceAttention(width, num_heads, num_frames, bias),
        ]


@dataclass(frozen=True)
class Trajectory:
    """Tokens look for themselves in each frame, exactly or not, and then along these places."""

    values: Literal["released", "corrected"] = "released"
    frames: FrameAttention = field(default_factory=Exact)

    def __post_init__(self) -> None:
        check_choices(self)

    def branches(
        self, width: int, num_heads: int, num_frames: int, *, bias: bool = True
    ) -> list[SelfAttention]:
        """The attentions of a block, each added to its tokens after the one before."""
        return [TrajectoryAttention(self, width, num_heads, num_frames, bias)]


Attention: TypeAlias = Trajectory | Divided | Joint


class SelfAttention(nn.Module):
    """The layers that all attentions have: into queries, keys and values, and out of them.

    `bias` is of all layers but the last one.
    """

    def __init__(self, width: int, num_heads: int, bias: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.proj = nn.Linear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [b h n d/h] of tokens [b n d]."""
        q, k, v = split_axis(self.qkv(x), 2, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return q, k, v


class ClsAttention(SelfAttention):
    """CLS alone looks at all tokens: [b n d] -> [b 1 d]; all that a last block needs."""

    def forward(self, x: Tensor) -> Tensor:
        """CLS [b 1 d] after its look at all tokens [b n d]."""
        width = x.shape[2]
        weight, bias = weight_of(self.qkv), self.qkv.bias
        bias_q, bias_kv = (None, None) if bias is None else (bias[:width], bias[width:])
        q = split_axis(F.linear(x[:, :1], weight[:width], bias_q), 2, self.num_heads, -1)
        kv = F.linear(x, weight[width:], bias_kv)
        k, v = split_axis(kv, 2, 2, self.num_heads, -1).unbind(2)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        seen = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(joined(seen))
        return out


class JointAttention(SelfAttention):
    """Tokens [b n d] -> [b n d], all looking at all."""

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b n d] after their look at others."""
        out: Tensor = self.proj(joined(F.scaled_dot_product_attention(*self.project(x))))
        return out


class GroupedAttention(SelfAttention):
    """Tokens [b n d] -> [b n d]; places look at CLS and at those of their group."""

    def __init__(self, width: int, num_heads: int, num_frames: int, bias: bool = True) -> None:
        super().__init__(width, num_heads, bias)
        self.num_frames = num_frames

    def grouped(self, x: Tensor) -> Tensor:
        """Groups [b h g m d] of frames [b h f p d], or the other way round."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b n d] after their look at others."""
        qkv = self.project(x)
        cls = F.scaled_dot_product_attention(qkv[0][:, :, :1], *qkv[1:])
        q, k, v = (self.grouped(split_axis(t[:, :, 1:], 2, self.num_frames, -1)) for t in qkv)
        k, v = (with_cls(t[:, :, :1], group) for t, group in zip(qkv[1:], (k, v), strict=True))
        q, k, v = (t.transpose(1, 2).flatten(0, 1) for t in (q, k, v))  # [b*g h m d]
        seen = split_axis(F.scaled_dot_product_attention(q, k, v), 0, x.shape[0], -1).transpose(
            1, 2
        )
        out: Tensor = self.proj(joined(torch.cat([cls, self.grouped(seen).flatten(2, 3)], dim=2)))
        return out


class TimeAttention(GroupedAttention):
    """A group is one place in all frames."""

    def grouped(self, x: Tensor) -> Tensor:
        """Frames and places, exchanged."""
        return x.transpose(2, 3)


class SpaceAttention(GroupedAttention):
    """A group is one frame."""

    def grouped(self, x: Tensor) -> Tensor:
        """Frames as they are."""
        return x


class TrajectoryAttention(SelfAttention):
    """Tokens [b n d] -> [b n d], along their trajectories; see `Trajectory`."""

    def __init__(
        self, spec: Trajectory, width: int, num_heads: int, num_frames: int, bias: bool = True
    ) -> None:
        super().__init__(width, num_heads, bias)
        self.num_frames = num_frames
        self.frames = spec.frames.build(width // num_heads)
        self.proj_q = nn.Linear(width, width, bias=bias)
        self.proj_k = nn.Linear(width, width, bias=False)
        corrected = spec.values == "corrected"
        self.proj_v = nn.Linear(width, width, bias=bias) if corrected else None

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b n d] after their look at others."""
        q, k, v = self.project(x)
        cls = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        seen = self.frames(*(t[:, :, 1:] for t in (q, k, v)), self.num_frames)
        z = seen.permute(0, 3, 1, 2, 4).flatten(3)  # [b s f d]
        along = self._values(self._weights(z), z)
        out: Tensor = self.proj(torch.cat([joined(cls), along], dim=1))
        return out

    def _weights(self, z: Tensor) -> Tensor:
        """softmax_f(q2 . k2 / sqrt(d)) [b s h f]."""
        q = split_axis(self.proj_q(own(z)), 2, self.num_heads, -1)
        weight = split_axis(weight_of(self.proj_k), 0, self.num_heads, -1)
        scores = torch.einsum("bshe,hed->bshd", q, weight) @ z.transpose(-1, -2)
        return (scores / math.sqrt(q.shape[-1])).softmax(-1)

    def _values(self, weights: Tensor, z: Tensor) -> Tensor:
        """The sum of v2 over the frames, [b s d]."""
        if self.proj_v is None:
            heads = split_axis(z, 3, self.num_heads, -1)
            return torch.einsum("bshf,bsfhe->bshe", weights, heads).flatten(2)
        weight = split_axis(weight_of(self.proj_v), 0, self.num_heads, -1)
        summed = torch.einsum("bshd,hed->bshe", weights @ z, weight).flatten(2)
        return summed if self.proj_v.bias is None else summed + self.proj_v.bias


def own(z: Tensor) -> Tensor:
    """z [b s f d] of each token in its own frame: [b s d], s being f and p in one."""
    by_frame = split_axis(z, 1, z.shape[2], -1)  # [b f' p f d]
    return by_frame.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2).flatten(1, 2)


def with_cls(cls: Tensor, groups: Tensor) -> Tensor:
    """CLS [b h 1 d] before the tokens of each of the groups [b h g m d]."""
    return torch.cat([cls[:, :, None].expand(-1, -1, groups.shape[2], -1, -1), groups], dim=3)


def joined(x: Tensor) -> Tensor:
    """Tokens [b n d] of heads [b h n d/h]."""
    return x.transpose(1, 2).flatten(2)
