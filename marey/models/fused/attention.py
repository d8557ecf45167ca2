"""Attention of clips on some tokens at a time, so that what lies between stays in the caches.

Trajectory attention makes what each token sees in each frame, z [s f d], and queries that W_k is
folded into [s h d]: as many times the tokens as there are frames, and heads. Here both live for
some tokens only.

CLS alone, in a last block, needs neither keys nor values of the tokens x:

    q . (W_k x + b_k) = (q W_k) . x + the same number for all x, which the softmax leaves out
    sum_x a_x (W_v x + b_v) = W_v (sum_x a_x x) + b_v,  the a_x having the sum 1
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoders.attention import ClsAttention, TrajectoryAttention, joined
from marey.models.encoders.frame_attention import ExactAttention
from marey.models.fused.forms import form_of, fuses
from marey.models.fused.pointwise import takes
from marey.models.layout import AnyModule, split_axis
from marey.models.lora import weight_of

QUERIES = 784
"""About so many look at all frames at a time; `scaled_dot_product_attention` is slower on fewer."""
TOKENS = 98
"""So many go along their trajectories at a time."""


class FusedTrajectory(nn.Module):
    """Tokens [b n d] -> [b n d]: the form of a `TrajectoryAttention`, which is used on a GPU."""

    def __init__(self, attention: TrajectoryAttention) -> None:
        super().__init__()
        self.plain = attention

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b n d] after their look at others."""
        if not takes(x, x):
            plainly: Tensor = self.plain(x)
            return plainly
        qkv = self.plain.project(x)
        out = torch.empty_like(x)
        out[:, :1] = joined(F.scaled_dot_product_attention(qkv[0][:, :, :1], *qkv[1:]))
        for clip in range(len(x)):
            q, k, v = (t[clip, :, 1:] for t in qkv)
            self._look(q, k, v, out[clip, 1:])
        tokens: Tensor = self.plain.proj(out)
        return tokens

    def _look(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
        """Fill `out` [s d] with what the tokens of a clip gather, of q, k and v [h s e]."""
        look, num_frames = self.plain.frames, self.plain.num_frames
        num_places = len(out) // num_frames
        # the approximations look for landmarks among all queries
        frames = max(1, QUERIES // num_places) if isinstance(look, ExactAttention) else num_frames
        for first in range(0, num_frames, frames):
            some = slice(first * num_places, (first + frames) * num_places)
            seen = look(q[None, :, some], k[None], v[None], num_frames)[0]  # [f h s e]
            self._along(seen, first, num_places, out[some])

    def _along(self, seen: Tensor, first: int, num_places: int, out: Tensor) -> None:
        """Fill `out` [s d] from what its tokens, those of frames from `first` on, see [f h s e]."""
        num_heads, width = seen.shape[1], seen.shape[3]
        by_frame = split_axis(seen, 2, -1, num_places)
        own = by_frame[first : first + by_frame.shape[2]].diagonal(dim1=0, dim2=2)  # [h p e f]
        own = own.permute(3, 1, 0, 2).flatten(2).flatten(0, 1)
        q = split_axis(self.plain.proj_q(own), 1, num_heads, -1) * width**-0.5
        keys = split_axis(weight_of(self.plain.proj_k), 0, num_heads, -1)
        for start in range(0, len(out), TOKENS):
            some = slice(start, start + TOKENS)
            z = seen[:, :, some].permute(2, 0, 1, 3).flatten(2)  # [s f d]
            folded = torch.bmm(q[some].transpose(0, 1), keys).transpose(0, 1)  # [s h d]
            out[some] = self._summed(torch.bmm(folded, z.transpose(1, 2)).softmax(-1), z)

    def _summed(self, weights: Tensor, z: Tensor) -> Tensor:
        """The sum of the values over the frames [s d], of weights [s h f] and z [s f d]."""
        if self.plain.proj_v is not None:
            return self.plain._values(weights[None], z[None])[0]
        frames = split_axis(z, 2, weights.shape[1], -1).unbind(1)
        total = frames[0] * weights[:, :, :1]
        for frame, heads in enumerate(frames[1:], 1):
            total.addcmul_(heads, weights[:, :, frame : frame + 1])
        return total.flatten(1)


class FusedCls(nn.Module):
    """CLS [b 1 d] of tokens [b n d]: the form of a `ClsAttention`."""

    def __init__(self, attention: ClsAttention) -> None:
        super().__init__()
        self.plain = attention

    def forward(self, x: Tensor) -> Tensor:
        """CLS [b 1 d] after its look at all tokens [b n d]."""
        num_heads, qkv = self.plain.num_heads, self.plain.qkv
        of_q, of_k, of_v = weight_of(qkv).chunk(3)
        by_head = (num_heads, -1)
        bias_q, _, bias_v = (None, None, None) if qkv.bias is None else qkv.bias.chunk(3)
        q = split_axis(F.linear(x[:, 0], of_q, bias_q), 1, *by_head)  # [b h e]
        folded = torch.einsum("bhe,hed->bhd", q, split_axis(of_k, 0, *by_head))
        weights = (folded @ x.transpose(1, 2) * q.shape[-1] ** -0.5).softmax(-1)  # [b h n]
        seen = torch.einsum("bhd,hed->bhe", weights @ x, split_axis(of_v, 0, *by_head)).flatten(1)
        cls: Tensor = self.plain.proj((seen if bias_v is None else seen + bias_v)[:, None])
        return cls


@fuses(TrajectoryAttention)
def _(attention: TrajectoryAttention) -> nn.Module:
    return FusedTrajectory(_with_forms(attention))


@fuses(ClsAttention)
def _(attention: ClsAttention) -> nn.Module:
    return FusedCls(_with_forms(attention))


def _with_forms(module: AnyModule) -> AnyModule:
    for name, child in module.named_children():
        setattr(module, name, form_of(child))
    return module
