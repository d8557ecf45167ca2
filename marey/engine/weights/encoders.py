"""The encoder that made a file of features: put before a model of them, and held to its weights."""

from __future__ import annotations

from marey.data.manifest.manifest import Manifest
from marey.engine.weights.checkpoint import weights_digest
from marey.engine.weights.starting import starting_weights
from marey.errors import CheckpointError, RunError
from marey.models.video_model import VideoModel
from marey.recipes.joined import behind_encoder
from marey.recipes.recipe import Recipe


def behind_its_encoder(recipe: Recipe, train_set: Manifest) -> tuple[Recipe, str]:
    """A recipe of features as one of videos, where the encoder of its features can be had.

    What is to be said of it comes along; empty of a recipe that is returned as it is.
    """
    if not recipe.model.takes_features or train_set.features is None:
        return recipe, ""
    whole = behind_encoder(recipe, train_set)
    about = train_set.features.about
    if whole is None:
        return recipe, ""
    try:
        file = starting_weights(whole)
        missing = "" if file is None or file.exists() else f"{file} is not there"
    except CheckpointError as error:
        missing = error.message
    name = f"the encoder of {about['model']}, which made {train_set.source.name}"
    if missing:
        return recipe, (
            f"a model of features, which takes no videos: {name}, cannot be put before it: "
            f"{missing}; name its weights (--weights FILE), or do it later (marey join)"
        )
    return whole, f"a model of videos: {name}, stands before what is trained"


def check_encoder(model: VideoModel, clips: Manifest) -> None:
    """RunError unless features that stand in for videos were made by the weights of `model`."""
    features = clips.features
    if features is None or model.spec.takes_features:
        return
    ours, theirs = weights_digest(model.encoder), features.about["weights"]
    if ours != theirs:
        raise RunError(
            f"{clips.source} holds features of other weights: their SHA-256 begins with "
            f"{theirs[:8]}, that of the encoder here with {ours[:8]}",
            "name the weights that made it (--weights), or make it again (marey features)",
        )
