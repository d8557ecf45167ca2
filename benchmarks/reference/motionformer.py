"""Motionformer (arXiv 2106.05392): attention by products, softmax and products, all of it kept.

Every token's trajectory [s f d] is made whole; its keys and values come from one matrix, though the
released weights belong to a sum over the trajectory itself, which leaves the values unused.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoders.motionformer import MotionformerSpec

EPS = 1e-6


class TrajectoryAttention(nn.Module):
    """CLS looks at all tokens; the others in every frame, and then along what they found."""

    def __init__(self, width: int, num_heads: int, num_frames: int) -> None:
        super().__init__()
        self.num_heads, self.num_frames = num_heads, num_frames
        self.scale = (width // num_heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj_q = nn.Linear(width, width)
        self.proj_kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b n d] -> [b n d]."""
        batch, _, width = x.shape
        q, k, v = (self._by_head(part) for part in self.qkv(x).chunk(3, dim=-1))  # [b*h n e]
        cls = self._attend(q[:, :1] * self.scale, k, v)
        q, k, v = q[:, 1:], k[:, 1:], v[:, 1:]
        tokens, head_width = q.shape[1:]
        places = tokens // self.num_frames
        similarity = (q * self.scale) @ k.transpose(-2, -1)
        similarity = similarity.view(-1, tokens, self.num_frames, places)
        in_frames = v.view(-1, self.num_frames, places, head_width)
        z = torch.einsum("bsfp,bfpe->bsfe", similarity.softmax(dim=-1), in_frames)
        z = z.view(batch, self.num_heads, tokens, self.num_frames, head_width)
        z = z.permute(0, 2, 3, 1, 4).reshape(batch, tokens, self.num_frames, width)
        own = z.view(batch, self.num_frames, places, self.num_frames, width)
        own = torch.diagonal(own, dim1=-4, dim2=-2).permute(0, 3, 1, 2)  # [b f p d]
        q2 = self._by_head(self.proj_q(own.reshape(batch, tokens, width))) * self.scale
        k2, _ = self.proj_kv(z).chunk(2, dim=-1)
        k2, values = self._trajectories(k2), self._trajectories(z)
        weights = torch.einsum("bse,bsfe->bsf", q2, k2).softmax(dim=-1)
        out = torch.einsum("bsf,bsfe->bse", weights, values)
        joined: Tensor = self.proj(self._joined(torch.cat([cls, out], dim=1)))
        return joined

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.einsum("bij,bje->bie", (q @ k.transpose(-2, -1)).softmax(dim=-1), v)

    def _by_head(self, x: Tensor) -> Tensor:
        """[b n d] -> [b*h n d/h]."""
        x = x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)
        return x.reshape(-1, *x.shape[2:])

    def _trajectories(self, x: Tensor) -> Tensor:
        """[b s f d] -> [b*h s f d/h]."""
        x = x.view(*x.shape[:3], self.num_heads, -1).permute(0, 3, 1, 2, 4)
        return x.reshape(-1, *x.shape[2:])

    def _joined(self, x: Tensor) -> Tensor:
        """[b*h n d/h] -> [b n d]."""
        x = x.view(-1, self.num_heads, *x.shape[1:]).transpose(1, 2)
        return x.reshape(*x.shape[:2], -1)


class Mlp(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """[b n d] -> [b n d]."""
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class Block(nn.Module):
    """Attention and two layers, each behind a norm and added to its input."""

    def __init__(self, spec: MotionformerSpec, num_frames: int, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(spec.width, EPS)
        self.attn = TrajectoryAttention(spec.width, spec.num_heads, num_frames)
        self.norm2 = nn.LayerNorm(spec.width, EPS)
        self.mlp = Mlp(spec.width, int(spec.width * spec.mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b n d] -> [b n d]."""
        x = x + self._dropped(self.attn(self.norm1(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        if not self.training or not self.drop_path:
            return x
        keep = 1 - self.drop_path
        mask = (keep + torch.rand(len(x), 1, 1, dtype=x.dtype, device=x.device)).floor_()
        return x.div(keep) * mask


class Motionformer(nn.Module):
    """Logits [b k] of clips [b t c h w]."""

    def __init__(self, spec: MotionformerSpec, num_frames: int, num_classes: int) -> None:
        super().__init__()
        self.spec = spec
        times, width = num_frames // spec.tubelet, spec.width
        size = (spec.tubelet, spec.patch, spec.patch)
        patches = nn.Conv3d(spec.in_channels, width, size, size)
        self.patch_embed_3d = nn.Sequential(OrderedDict(proj=patches))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + spec.grid**2, width))
        self.temp_embed = nn.Parameter(torch.zeros(1, times, width))
        rates = torch.linspace(0, spec.drop_path, spec.depth).tolist()
        self.blocks = nn.ModuleList(Block(spec, times, rate) for rate in rates)
        self.norm = nn.LayerNorm(width, EPS)
        self.pre_logits = nn.Sequential(OrderedDict(fc=nn.Linear(width, width), act=nn.Tanh()))
        self.head = nn.Linear(width, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits [b k]."""
        x = self.patch_embed_3d(clip.transpose(1, 2))
        height, width = x.shape[3:]
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + self._positions(height, width)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.pre_logits(self.norm(x)[:, 0]))
        return logits

    def _positions(self, height: int, width: int) -> Tensor:
        """One of CLS, and of every place repeated over the frames, plus its frame's."""
        cls, places = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = self.spec.grid
        if (height, width) != (grid, grid):
            places = places.view(1, grid, grid, -1).permute(0, 3, 1, 2)
            places = F.interpolate(places, (height, width), mode="bicubic", align_corners=False)
            places = places.flatten(2).transpose(1, 2)
        times = self.temp_embed.repeat_interleave(height * width, dim=1)
        return torch.cat([cls, places.repeat(1, self.temp_embed.shape[1], 1) + times], dim=1)
