"""Weights for a comparison: ours as if trained, and the same in a reference network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from marey.models.video_model import VideoModel

Rename = Callable[[str], str | None]
"""From the originals' name of a tensor to ours; None of what changes no result."""


@torch.no_grad()
def fill(model: nn.Module, seed: int = 0) -> None:
    """Give norms and taps numbers that training might; fresh ones are 0 and 1, which hide faults.

    Scales of norms are below 1, so that activations neither vanish nor explode over the depth.
    """
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        leaf = name.rsplit(".", 1)[-1]
        if leaf == "running_var":
            tensor.uniform_(0.5, 1.5, generator=rng)
        elif leaf == "running_mean" or (tensor.ndim == 1 and leaf == "bias"):
            tensor.normal_(0, 0.1, generator=rng)
        elif tensor.ndim == 1 and leaf == "weight":
            tensor.uniform_(0.4, 0.8, generator=rng)
        elif ".taps." in name:
            tensor.uniform_(-0.3, 0.7, generator=rng)
        elif name.startswith("heads."):
            tensor.normal_(0, 0.02, generator=rng)


def load(reference: nn.Module, model: VideoModel, rename: Rename) -> None:
    """Give `reference` the weights of `model`; ValueError unless each of them has its place."""
    ours, theirs = model.state_dict(), reference.state_dict()
    names = {name: rename(name) for name in theirs}
    used = {name for name in names.values() if name is not None}
    if used != set(ours):
        raise ValueError(
            f"{type(reference).__name__} and the model have different tensors: "
            f"{sorted(used ^ set(ours))[:5]}"
        )
    for name, own in names.items():
        if own is not None:
            theirs[name] = ours[own].view(theirs[name].shape)  # of a kernel, axes of 1 may be more
    reference.load_state_dict(theirs)
