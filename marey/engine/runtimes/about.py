"""What somebody has to know who has a graph of a model and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_plain
from marey.version import __version__


def about_model(recipe: Recipe, classes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """How its clips are made, what its scores mean, and the recipe of the model, as plain data.

    recipe: whose test views are how clips are shown.
    """
    pixels, test, shown = recipe.augment, recipe.test, recipe.tested_model
    plain = to_plain(recipe)
    return {
        "name": recipe.name,
        "marey": __version__,
        "preprocessing": {
            "clip": ["clips", *shown.clip_shape(test.crop.size)],
            "axes": "clip, frame, channel, height, width",
            "modality": recipe.model.modality,
            "channel_order": pixels.channel_order,
            "range": [0, 1],
            "mean": list(pixels.mean),
            "std": list(pixels.std),
            "sampling": plain["test"]["sampling"],
            "crop": plain["test"]["crop"],
        },
        "labels": {head: list(names) for head, names in classes.items()},
        "scores": {
            head.name: "sigmoid" if head.several else "softmax" for head in recipe.model.heads
        },
        "views_are_averaged_as": test.average,
        "recipe": plain,
    }
