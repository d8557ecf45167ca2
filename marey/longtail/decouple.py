"""Training the classifier apart from the features (cRT, arXiv 1910.09217).

A later stage of a recipe with `trainable="heads"`, and mostly `reset_heads=True`, learns new heads
on features that stay as they are: their weights and their batch-norm statistics.
"""

from __future__ import annotations

from typing import Literal

from marey.models.unused import freeze_unused
from marey.models.video_model import VideoModel

Part = Literal["all", "heads"]


def set_trainable(model: VideoModel, part: Part) -> None:
    """Let all of `model` learn, or its heads alone; partial batch norm stays as it was."""
    model.encoder.requires_grad_(part == "all")
    if part == "all":
        model.set_partial_bn(model.partial_bn)
        freeze_unused(model.encoder)


def training_mode(model: VideoModel, part: Part) -> None:
    """Training mode for what learns; an encoder that does not learn stays in evaluation mode."""
    model.train()
    if part == "heads":
        model.encoder.eval()
