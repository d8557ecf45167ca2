"""Attentive pooling: one learned query gathers what it needs of all tokens of a clip.

The frozen protocol of V-JEPA (arXiv 2404.08471, section 4; the "attentive probe"), as a neck:

    z = q + A(q, LN(x))      q [1 d] learned; A: cross-attention of several heads, x [t*n d] tokens
    h = z + MLP(LN(z))       two layers with a GELU, `mlp_ratio` times as wide between them

and the linear head on h. Unlike a mean over tokens it can look at one place, such as a hand. With
`width` the tokens are projected to so many numbers first, which small sets and processors thank.

**Deviates**: no second projection behind the attention; the MLP follows it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.encoder import EncoderModule, Over
from marey.models.encoders.features import FeatureEncoder
from marey.models.layout import split_axis
from marey.models.sites import TemporalOp
from marey.types import check_choices, check_counts, check_numbers


@dataclass(frozen=True)
class AttentivePoolSpec(FeatureEncoder):
    """V-JEPA's attentive probe; `over` frames it weighs frames, not the places in them.

    `width` None is as wide as the tokens are; `num_heads` divides it.
    """

    num_heads: int = 16
    mlp_ratio: float = 4.0
    width: int | None = None
    over: Over = "tokens"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self)
        check_counts(num_heads=self.num_heads)
        check_numbers(above=0, mlp_ratio=self.mlp_ratio)
        check_numbers(at_least=1, width=self.width)

    def build(
        self,
        temporal: Sequence[TemporalOp],
        num_segments: int,  # noqa: ARG002
    ) -> AttentivePool:
        """The module; `temporal` must be empty."""
        dim = self.known_dim(temporal)
        width = self.width or dim
        if width % self.num_heads:
            raise ValueError(
                f"num_heads is {self.num_heads}, which does not divide the width {width}"
            )
        return AttentivePool(dim, width, self.num_heads, self.mlp_ratio)


class AttentivePool(EncoderModule):
    """See `AttentivePoolSpec`: [b t d] -> [b 1 width]."""

    def __init__(self, dim: int, width: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.num_features, self.num_heads = width, num_heads
        self.project = nn.Identity() if width == dim else nn.Linear(dim, width)
        self.query = nn.Parameter(torch.empty(1, 1, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        hidden = int(mlp_ratio * width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        nn.init.trunc_normal_(self.query, std=0.02)

    def forward(self, clip: Tensor) -> Tensor:
        """One vector a clip: [b t d] -> [b 1 width]."""
        x = self.norm1(self.project(clip))
        query = self.query.expand(x.shape[0], -1, -1)  # `len` would be a constant of an export
        key, value = self.kv(x).chunk(2, dim=2)
        z = query + self._gather(self.q(query), key, value)
        h: Tensor = z + self.mlp(self.norm2(z))
        return h

    def _gather(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What the heads of the query [b 1 d] find among keys and values [b t d]."""
        q, k, v = (
            split_axis(x, 2, self.num_heads, -1).transpose(1, 2) for x in (query, key, value)
        )
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
