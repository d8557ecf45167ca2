"""Weights for a comparison: ours as if trained, and the same in a reference network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from marey.errors import first_few
from marey.models.video_model import ModelSpec, VideoModel

SQUARE = 16
"""Pixels of a side."""

Rename = Callable[[str], str | None]
"""From the originals' name of a tensor to ours; None of what changes no result."""
Parts = Callable[[Mapping[str, Tensor], ModelSpec], Mapping[str, Tensor]]
"""Tensors that are several of ours, taken apart."""


def made_up_clips(
    spec: ModelSpec, size: int, batch: int = 2, *, seed: int = 0, device: str = "cpu"
) -> Tensor:
    """Clips [b t c h w] of coloured squares: noise pixel by pixel is the same to any network."""
    rng = torch.Generator().manual_seed(seed)
    frames, channels, *_ = spec.clip_shape(size)
    squares = torch.randn(batch, frames, channels, -(-size // SQUARE), 1, generator=rng)
    squares = squares * torch.randn(1, 1, channels, 1, squares.shape[3], generator=rng)
    squares = squares.to(device)  # while they are small
    return squares.repeat_interleave(SQUARE, 3).repeat_interleave(SQUARE, 4)[..., :size, :size]


@torch.no_grad()
def fill(model: VideoModel, seed: int = 0) -> None:
    """Numbers as training might leave them, where fresh ones are 0 or 1 or too small to matter.

    Statistics of norms are those of made-up clips. So every layer passes on what it is given, and
    a fault in any of them shows in the logits; the numbers' size is that of a trained network's.
    """
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        if tensor.ndim == 1:
            low, high = (0.5, 1.5) if name.endswith("weight") else (-0.2, 0.2)
            tensor.uniform_(low, high, generator=rng)
        elif ".taps." in name:
            tensor.uniform_(-0.3, 0.7, generator=rng)
        elif re.search(r"[.](qkv|proj_[qk])[.]weight$", name):  # else attention is even
            tensor.normal_(0, 1.5 * tensor.shape[1] ** -0.5, generator=rng)
        elif name.endswith("_embed"):
            tensor.normal_(0, 0.5, generator=rng)
        elif name.startswith("heads."):
            tensor.normal_(0, 0.02, generator=rng)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the mean of all batches, and so that of the only one
        norm.reset_running_stats()
    model.train()(made_up_clips(model.spec, 64, seed=seed))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def load(
    reference: nn.Module, model: VideoModel, rename: Rename, parts: Parts | None = None
) -> None:
    """Give `reference` the weights of `model`; ValueError unless each of them has its place.

    Args:
        reference: the network by the originals' names.
        model: ours.
        rename: tells which tensor of ours one of theirs is.
        parts: takes tensors apart that are several of ours, without copying them.
    """
    ours, theirs = model.state_dict(), reference.state_dict()
    apart = theirs if parts is None else parts(theirs, model.spec)
    names = {name: own for name in apart if (own := rename(name)) is not None}
    if differing := set(names.values()) ^ set(ours):
        raise ValueError(
            f"{type(reference).__name__} and the model have different tensors: "
            f"{first_few(sorted(differing))}"
        )
    for name, own in names.items():  # a kernel of theirs may have more axes, of length 1
        apart[name].copy_(ours[own].view(apart[name].shape))
