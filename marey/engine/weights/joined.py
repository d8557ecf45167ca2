"""A model of features behind the encoder that made these: one model of videos.

The run or release of such a model says which encoder that was, by the digest of its weights, and
where they were (`marey.data.features`). Where they still are there, or are named, the two are one
model, which gives of a video the scores that the head gives of what the encoder makes of it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from marey.data.features.feature_file import About
from marey.data.manifest.manifest import Manifest
from marey.engine.weights.checkpoint import load_strictly, weights_digest
from marey.engine.weights.made_of import in_training_file
from marey.engine.weights.starting import initialize, starting_weights
from marey.engine.weights.trained import (
    OfFeatures,
    Trained,
    load_trained,
    model_card,
    save_release,
)
from marey.errors import CheckpointError, RecipeError
from marey.models.layout import channels_last
from marey.models.shapes import nothing_drawn
from marey.models.video_model import VideoModel
from marey.recipes.compatible import built
from marey.recipes.joined import joined
from marey.recipes.recipe import Recipe

log = logging.getLogger("marey")


def of_videos(trained: Trained, encoder: Path | None = None) -> Trained:
    """The model of features in `trained` behind its encoder; a model of videos as it is.

    Args:
        trained: whose scores it gives.
        encoder: the run, release or file with the weights of the encoder; by default they are where
            they were when the features were made.

    Raises:
        CheckpointError: the encoder is not there, or is another one.
        RecipeError: no model of videos does what this model does.
    """
    if not trained.model.spec.takes_features:
        return trained
    name, about = str(trained.folder or trained.recipe.name), _about(trained)
    recipe = joined(trained.recipe, about, name)
    device = next(trained.model.parameters()).device
    with nothing_drawn():
        model = channels_last(built(recipe.model))
    file = encoder or _at_hand(recipe, about, name)
    _load_encoder(model, file, about, name)
    load_strictly(model, _whole(model, trained.model), source=Path(name))
    rounded = " rounded to float16" if about.get("dtype") == "float16" else ""
    log.info("%s learned on features%s, and stands behind their encoder: %s", name, rounded, file)
    model, own = model.to(device).eval(), OfFeatures(trained, recipe.test)
    return replace(trained, recipe=recipe, model=model, features={}, of_features=own)


def for_clips(trained: Trained, clips: Manifest) -> Trained:
    """The model as it takes these clips: `of_videos`, where they are none of features."""
    return trained if clips.features is not None else of_videos(trained)


def join_release(head: Path, out: Path, encoder: Path | None = None) -> Trained:
    """Write the model of features in the folder `head` as a release of videos; returns the model.

    Raises:
        RecipeError: it takes videos already, or `of_videos`.
        CheckpointError: as `of_videos`.
        RunError: `out` is not empty, or cannot be written.
    """
    trained = load_trained(head)
    if not trained.model.spec.takes_features:
        raise RecipeError(f"{head} takes videos already", f"marey export {head} {out}")
    trained = replace(trained, features=_about(trained))
    whole = of_videos(trained, encoder)
    card = f"""{model_card(whole, whole.folder)}
## Encoder

Its head learned on features of {_words(trained.features)}, and numbers above are of such features.
"""
    save_release(whole, out, card)
    return whole


def _about(trained: Trained) -> About:
    """What made the features that a model takes; empty where nothing says it."""
    if trained.features:
        return trained.features
    if found := in_training_file(trained.recipe):
        log.warning(
            "%s does not say what made its features: taken from %s, as it is now",
            trained.folder,
            trained.recipe.data.train,
        )
    return found


def _at_hand(recipe: Recipe, about: About, name: str) -> Path:
    """Where the weights of the encoder are; CheckpointError says which they are if they are not."""
    try:
        file = starting_weights(recipe)
        missing = "nothing says where it is" if file is None else f"{file} is not there"
    except CheckpointError as error:
        file, missing = None, error.message
    if file is not None and file.exists():
        return file
    raise CheckpointError(
        f"{name} takes features of {_words(about)}, and {missing}",
        f"name the run, release or file of that encoder: marey join {name} OUT --encoder PATH; "
        "or give features (.npy)",
    )


def _load_encoder(model: VideoModel, file: Path, about: About, name: str) -> None:
    """Give `model` the encoder in `file`; CheckpointError unless it made the features."""
    hint = f"give the encoder that made them: marey join {name} OUT --encoder PATH"
    try:
        initialize(model, file)
    except CheckpointError as error:
        if not file.exists():
            raise
        raise CheckpointError(
            f"{file} does not hold the encoder of {_words(about)}, which made the features of "
            f"{name}: {error.message}",
            hint,
        ) from error
    if (digest := weights_digest(model.encoder)) != about.get("weights"):
        raise CheckpointError(
            f"{name} takes features of {_words(about)}; the SHA-256 of the encoder in {file} "
            f"begins with {digest[:8]}",
            hint,
        )


def _words(about: About) -> str:
    """Which encoder made features."""
    digest = str(about.get("weights", ""))[:8]
    return f"{about.get('model', 'a model')} (its encoder's SHA-256 begins with {digest})"


def _whole(model: VideoModel, head: VideoModel) -> dict[str, Tensor]:
    """The weights of `model`: its own encoder, the network of `head` as its neck, and its heads."""
    parts: dict[str, nn.Module] = {"encoder": model.encoder, "heads": head.heads}
    if model.neck is not None:
        parts["neck"] = head.encoder
    return {
        f"{part}.{name}": value
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
