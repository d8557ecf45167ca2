"""Small models in which every weight and statistic counts, and what their forms are held to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from marey.models import Head, ModelSpec
from marey.models.encoder import Encoder
from marey.models.layout import AnyModule
from marey.models.sites import TemporalOp
from marey.models.video_model import VideoModel

EXACT = 1e-5
"""Of the largest logit: float32 sums in another order differ by 1e-7 to 1e-6."""


def lively(
    encoder: Encoder, temporal: Sequence[TemporalOp] = (), num_segments: int = 4
) -> VideoModel:
    """A model in evaluation mode; norms have seen other means and variances than 0 and 1."""
    torch.manual_seed(0)
    heads = (Head("label", 7),)
    model = ModelSpec(encoder, tuple(temporal), num_segments=num_segments, heads=heads).build()
    return enliven(model)


def enliven(model: AnyModule) -> AnyModule:
    """`model` with statistics, scales and shifts that no layer could leave out unnoticed."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.2)
                module.bias.normal_(std=0.1)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(std=0.2)
    return model.eval()


def clips(model: VideoModel, size: int = 48, batch: int = 2) -> Tensor:
    """Clips that `model` takes."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, *model.spec.clip_shape(size), generator=generator)


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest logit."""
    return float(((one - other).abs().max() / one.abs().max()).detach())
