"""The recipe in a release, and what a run that goes on from the release begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from marey.errors import CheckpointError
from marey.recipes.recipe import DataSpec, Recipe
from marey.recipes.schema import from_plain
from marey.storage.text_files import read_json

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
"""The files of a release: the recipe, the weights and what a person should know."""
CONVERTED = "converted"
"""The entry of config.json that says what a conversion found."""
CHOSEN = "chosen"
"""That which says which weights of a run they are."""
FEATURES = "features"
"""That which says what made the features that the model takes; the rest is the recipe."""
NEVER_TRAINED = "never trained"
"""In it, the head of which that is so, and why."""


def read_config(folder: Path) -> Recipe:
    """The recipe of the release in `folder`."""
    path = folder / CONFIG
    plain = read_json(path, CheckpointError, "get the release again")
    if isinstance(plain, dict):
        beside = (CONVERTED, CHOSEN, FEATURES)
        plain = {key: value for key, value in plain.items() if key not in beside}
    return from_plain(Recipe, plain, source=str(path))


def going_on_from(folder: Path) -> Recipe:
    """A recipe that starts from the release in `folder`, and takes classes and clips as given.

    What belongs to the data of the release is left out: heads, manifests, pairs of mirrored classes
    and the number it claims.
    """
    recipe = read_config(folder)
    return replace(
        recipe,
        model=replace(recipe.model, heads=()),
        data=DataSpec(
            backend=recipe.data.backend, workers=recipe.data.workers, flow=recipe.data.flow
        ),
        augment=replace(recipe.augment, flip_pairs=None),
        weights=str(folder),
        claim=None,
    )


def never_trained(folder: Path) -> str:
    """What the release in `folder` says of a head of its model that never learned; empty if none.

    Such a head is left out where it is known, unless its owner asks for it.
    """
    plain = read_json(folder / CONFIG, CheckpointError, "get the release again")
    found = plain.get(CONVERTED) if isinstance(plain, dict) else None
    said = str(found.get(NEVER_TRAINED, "")) if isinstance(found, dict) else ""
    heads = {head.name for head in read_config(folder).model.heads}
    return said if said.partition(":")[0] in heads else ""
