"""A neck that follows the training clips is fitted to them before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import torch
from torch import Tensor

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.scoring import model_inputs, view_batches
from marey.models.encoder import Fitted
from marey.models.video_model import VideoModel
from marey.recipes.frozen import tests_on, train_views
from marey.recipes.recipe import Recipe


def fit_neck(
    model: VideoModel, recipe: Recipe, train_set: Manifest, device: torch.device | str
) -> None:
    """Fit the neck of `model`, or a model of features, if it follows the training clips.

    Every process of a run sees all of them, so that all have the same.
    """
    part = model.encoder if model.neck is None else model.neck
    if isinstance(part, Fitted):
        model.eval()
        part.fit(_encoded(model, recipe, train_set, device))


@torch.no_grad()
def _encoded(
    model: VideoModel, recipe: Recipe, train_set: Manifest, device: torch.device | str
) -> Iterator[Tensor]:
    """What the encoder gives of all training clips, [b t d], once."""
    seen = tests_on(replace(recipe, test=train_views(recipe)[0]), train_set)
    with closing(view_batches(train_set, seen, workers=None, batch_size=None)) as batches:
        for batch in batches:
            if len(batch.rows):
                for clip in model_inputs(model, batch.clip, recipe.augment, device):
                    yield clip if clip.ndim == 3 else model.encode(clip)
