"""Parts of a vision transformer (arXiv 2010.11929): blocks, stochastic depth, places on a grid.

    x += attention(norm1(x));  x += mlp(norm2(x))        mlp: d -> 4 d as a rule, GELU, -> d

A block whose attention has two branches adds the first before them, x += timeattn(norm3(x)). Names
are those of timm, from whose weights these networks start.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoders.attention import Attention, ClsAttention
from marey.models.layout import split_axis

EPS = 1e-6
"""Of all layer norms."""


class Block(nn.Module):
    """Tokens [b n d] -> [b n d], or, in a network's last block, [b 1 d]: CLS alone.

    Stochastic depth (arXiv 1603.09382) leaves out either of the two main branches of a clip with
    probability `drop_path`, never the one over time.
    """

    def __init__(
        self,
        attention: Attention,
        width: int,
        num_heads: int,
        num_frames: int,
        *,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_path: float = 0.0,
        is_last: bool = False,
    ) -> None:
        super().__init__()
        *first, attn = attention.branches(width, num_heads, num_frames, bias=qkv_bias)
        self.norm3 = nn.LayerNorm(width, EPS) if first else None
        self.timeattn = first[0] if first else None
        self.norm1 = nn.LayerNorm(width, EPS)
        self.attn = ClsAttention(width, num_heads, qkv_bias) if is_last else attn
        self.norm2 = nn.LayerNorm(width, EPS)
        self.mlp = mlp(width, int(width * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """The tokens after this block."""
        if self.timeattn is not None and self.norm3 is not None:
            x = x + self.timeattn(self.norm3(x))
        seen = self.drop_path(self.attn(self.norm1(x)))
        x = x[:, : seen.shape[1]] + seen
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class DropPath(nn.Module):
    """Leaves out x [b n d] of a clip with probability `rate` in training, else scales it up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """`x`, or zeros in its place."""
        if not self.training or not self.rate:
            return x
        kept = x.new_empty(x.shape[0], 1, 1).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"rate={self.rate}"


def mlp(width: int, hidden: int) -> nn.Sequential:
    """The two layers [... d] -> [... d] that follow the attention of a block."""
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(width, hidden),
            act=nn.GELU(),
            fc2=nn.Linear(hidden, width),
        )
    )


def resized(positions: Tensor, height: int, width: int) -> Tensor:
    """The embeddings [1 height*width d] of a grid, of those [1 n*n d] of a square one (bicubic)."""
    side = round(positions.shape[1] ** 0.5)
    if (height, width) == (side, side):
        return positions
    grid = split_axis(positions, 1, side, side).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (height, width), mode="bicubic", align_corners=False)
    return grid.flatten(2).transpose(1, 2)


@torch.no_grad()
def initialize(module: nn.Module) -> None:
    """Fresh weights for a linear layer: normal, truncated at two deviations of 0.02."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
