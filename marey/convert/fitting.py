"""The model and recipe that shapes and settings give, and the weights under the model's names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from marey.convert import motionformer, release_recipe, videolt
from marey.convert.evidence import others, with_value
from marey.convert.repositories import tensors_of_another
from marey.convert.repository import Repository, Settings, Shapes, renamed
from marey.engine.weights.checkpoint import check_fit
from marey.errors import CheckpointError
from marey.models.encoders.features import FeatureEncoder
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.shapes import shapes_only
from marey.models.video_model import ModelSpec
from marey.recipes.recipe import Recipe


def spec_of(source: Repository, shapes: Shapes, settings: Settings, path: Path) -> ModelSpec:
    """The model of this repository that the shapes give; CheckpointError if there is none."""
    try:
        return model_of(source, shapes, settings)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} (repository {source.name}): {error.message}", error.hint
        ) from error


def model_of(source: Repository, shapes: Shapes, settings: Settings) -> ModelSpec:
    """The same, whose error does not name the file."""
    try:
        return source.model_of(shapes, settings)
    except LookupError as error:
        raise tensors_of_another(source, shapes) from error
    except (ValueError, ZeroDivisionError) as error:  # odd shapes, or a bad --set
        raise CheckpointError(f"it is no model of this code base: {error}") from error


def recipe_of(spec: ModelSpec, name: str, settings: Settings, repository: str = "") -> Recipe:
    """A recipe that tests the model as its code base did; CheckpointError if none is possible."""
    try:
        if isinstance(spec.encoder, MotionformerSpec):
            return motionformer.recipe_of(spec, name, settings)
        if isinstance(spec.encoder, FeatureEncoder):
            return videolt.recipe_of(spec, name)
        return release_recipe.recipe_of(spec, name, settings, repository)
    except ValueError as error:
        raise CheckpointError(f"it cannot be tested as is said: {error}") from error


def views_in_words(spec: ModelSpec, settings: Settings, repository: str) -> str:
    """Which test views the recipe has, and why; empty where the code base has but one way."""
    if isinstance(spec.encoder, MotionformerSpec | FeatureEncoder):
        return ""
    return release_recipe.views_in_words(spec, settings, repository)


def decides(
    name: str, spec: ModelSpec, source: Repository, shapes: Shapes, settings: Settings
) -> bool:
    """Whether model or recipe would be others, or none, had something else been said of `name`."""
    recipe = recipe_of(spec, "", settings, source.name)
    for value in others(name, getattr(settings, name)):
        other = with_value(settings, name, value)
        try:
            spec = spec_of(source, shapes, other, Path())
            if recipe_of(spec, "", other, source.name) != recipe:
                return True
        except (CheckpointError, ValueError):
            return True
    return False


def fitted(
    weights: Mapping[str, Tensor], source: Repository, spec: ModelSpec, path: Path
) -> dict[str, Tensor]:
    """The complete state dict of the model; CheckpointError lists what does not fit."""
    try:
        with shapes_only():
            own = spec.build().state_dict()
        ours = renamed(weights, source.rename, own)
    except (ValueError, RuntimeError) as error:  # no place for an op, one name twice, a huge shape
        raise CheckpointError(f"{path}: {error}") from error
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    ours |= {name: torch.zeros((), dtype=torch.int64) for name in counters - set(ours)}
    called = {name: theirs for theirs in weights if (name := source.rename(theirs))}
    check_fit(own, ours, source=path, called=called)
    return {name: weight.to(own[name].dtype) for name, weight in ours.items()}
