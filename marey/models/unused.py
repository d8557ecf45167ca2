"""Weights that checkpoints have and no computation uses."""

from __future__ import annotations

from torch import nn


class Unused(nn.Module):
    """A module kept so that its weights can be loaded and saved; it never learns.

    Inherit from it before a layer: ``class UnusedNorm(Unused, nn.BatchNorm2d)``.
    """


def freeze_unused(model: nn.Module) -> None:
    """Take what is unused out of training: a gradient that never comes stops DDP."""
    for module in model.modules():
        if isinstance(module, Unused):
            module.requires_grad_(False)
