"""Frozen encoders: what they give of a clip is kept, and stands in for the clip.

    clips --encoder, once--> features, kept --neck, heads: every epoch--> scores

A recipe whose stages all leave the encoder as it is, and whose clips look the same in every epoch,
trains on what `marey.engine.train.encode_once` keeps, or on a file of `marey features`; what it
learns is a model of videos all the same. Such files say by which model they were made.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

from marey.data.features.stacked import StackedFeatures
from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError, RecipeError
from marey.models.video_model import ModelSpec
from marey.recipes.describe import brief
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.recipes.schema import from_plain, to_plain
from marey.recipes.val_views import one_view, val_views
from marey.video.crops import CenterCrop, FixedCrop, Mirrored
from marey.video.sampling.stored_views import StoredViews

T = TypeVar("T")


def is_frozen(recipe: Recipe) -> bool:
    """Whether no stage of a recipe of videos changes the encoder."""
    learns = {stage.trainable for stage in recipe.stages}
    return not recipe.model.takes_features and "all" not in learns


def varies(recipe: Recipe) -> str:
    """What makes a training clip another picture in every epoch, in words; empty for nothing.

    Which frames of a segment are drawn aside: one that is looked at once has its middle ones; and
    plain mirror images, which are looked at as well.
    """
    crop, plan = recipe.train.crop, recipe.augment
    words = ["" if isinstance(crop, FixedCrop) else f"train.crop is {brief(crop)}"]
    if plan.flip == "swap":  # one of the views that are kept of a clip is drawn after its label is
        words.append("augment.flip is swap, and a mirror image has another label than is kept")
    if replace(plan, flip="none").changes_pixels:
        words.append(f"augment is {brief(plan)}")
    return " and ".join(filter(None, words))


def check_trained_on(recipe: Recipe, train_set: Manifest) -> None:
    """ManifestError if features are to stand in for clips whose encoder or pixels change."""
    if train_set.features is None or recipe.model.takes_features:
        return
    if not is_frozen(recipe):
        raise ManifestError(
            f"{train_set.source} holds features, the model takes frames: its encoder learns",
            "leave the encoder as it is (stages.0.trainable=neck), give the videos, or take a "
            "recipe of features: features-linear, features-statistics ...",
        )
    said = varies(recipe) or ("augment.flip is plain" if recipe.augment.flip == "plain" else "")
    if said:
        raise ManifestError(
            f"{train_set.source} holds features of clips as they are, but {said}",
            "train.crop=CenterCrop and nothing in augment, or give the videos",
        )


def train_views(recipe: Recipe) -> list[TestViews]:
    """How a frozen encoder looks at training clips: once, at the frames that a test would take.

    And at their mirror images, if the recipe flips.
    """
    view = one_view(replace(val_views(recipe), sampling=recipe.train.sampling))
    mirrored = [replace(view, crop=Mirrored(view.crop))] if recipe.augment.flip != "none" else []
    return [view, *mirrored]


def about_encoder(recipe: Recipe, model: ModelSpec, per: str) -> dict[str, Any]:
    """What a file of features says of the encoder that made them, and of what it was shown.

    Of flow how it is computed as well, though some of it may have been stored.
    """
    of_flow = {"flow": to_plain(recipe.data.flow)} if model.modality == "flow" else {}
    return of_flow | {
        "encoder": to_plain(replace(model, heads=()))["encoder"],
        "model_spec": to_plain(encoder_part(model)),
        "views": to_plain(recipe.test),
        "pixels": to_plain(recipe.augment.normalisation),
        "per": per,
    }


def encoder_part(model: ModelSpec) -> ModelSpec:
    """What of a model decides what its encoder gives."""
    return replace(
        model,
        neck=None,
        heads=(),
        dropout=0.0,
        partial_bn=False,
        lora=None,
        head_std=None,
        consensus="avg",
    )


def trains_on(recipe: Recipe, train_set: Manifest) -> Recipe:
    """The recipe as it reads these training clips: the views that are stored, if they are."""
    number = _stored_views(recipe, train_set)
    if not number:
        return recipe
    stored, crop = StoredViews(recipe.model.frames, number), CenterCrop(recipe.train.crop.size)
    return replace(
        recipe,
        train=Views(stored, crop),
        augment=replace(recipe.augment.normalisation, mixup=recipe.augment.mixup),
        data=replace(recipe.data, workers=0),
    )


def tests_on(recipe: Recipe, manifest: Manifest) -> Recipe:
    """The recipe as it tests these clips: by the views that are stored, if they are."""
    number = _stored_views(recipe, manifest)
    if not number:
        return recipe
    test = recipe.test
    stored = StoredViews(test.sampling.frames, number)
    return replace(
        recipe,
        test=TestViews(stored, CenterCrop(test.crop.size), test.average),
        data=replace(recipe.data, workers=0),
    )


def _stored_views(recipe: Recipe, manifest: Manifest) -> int:
    """How many views of each clip are stored in place of its frames; 0 if the model sees these."""
    features = manifest.features
    if features is None or recipe.model.takes_features:
        return 0
    if features.about["per"] == "clip":
        return 1
    views = from_plain(TestViews, features.about["views"], str(manifest.source))
    parts = len(features.parts) if isinstance(features, StackedFeatures) else 1
    return views.sampling.clips * views.crop.views * parts


def check_stored(model: ModelSpec, manifest: Manifest, recipe: Recipe) -> None:
    """ManifestError unless the features of `manifest` are what the encoder of `model` gives.

    recipe: how clips are shown to the encoder.
    """
    assert manifest.features is not None
    about, remedy = manifest.features.about, "give the videos, which it takes as well"
    if "model_spec" not in about:
        raise ManifestError(
            f"{manifest.source} holds features, the model takes frames, and the file does not say "
            "which encoder made them",
            "recipes that take features: features-linear, features-statistics ...",
        )
    theirs = _read(ModelSpec, about["model_spec"], manifest.source)
    if differing := _differences(model, theirs, about["per"]):
        said = "; ".join(differing)
        raise ManifestError(f"{manifest.source} holds features of another model: {said}", remedy)
    shown: dict[str, tuple[str, object]] = {"augment": ("pixels", recipe.augment.normalisation)}
    if model.modality == "flow":
        shown["data.flow"] = ("flow", recipe.data.flow)
    for name, (key, here) in shown.items():
        there = _read(type(here), about[key], manifest.source) if key in about else here
        if there != here:
            raise ManifestError(
                f"{manifest.source} holds features of clips shown to the encoder in another way: "
                f"{name} is {brief(there)} there, {brief(here)} here",
                remedy,
            )


def _differences(model: ModelSpec, theirs: ModelSpec, per: str) -> list[str]:
    """What decides what an encoder gives and is not ours, in words; its weights are not seen."""
    ours = encoder_part(model)
    kept = {"token": "tokens", "clip": "frames" if model.neck is None else "means of frames"}
    facts = [
        *(
            (each.name, getattr(ours, each.name), getattr(theirs, each.name))
            for each in fields(ours)
        ),
        ("what the neck takes", model.over, kept.get(per, "frames")),
    ]
    return [
        f"{name} is {_in_words(there)} there, {_in_words(here)} here"
        for name, here, there in facts
        if here != there
    ]


def _in_words(value: object) -> str:
    """A part of a model as its recipe has it: ``ResNetSpec(50)``, ``TSM(8) and GST()``, none."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, tuple) else (value,)
    return " and ".join("none" if part is None else brief(part) for part in parts) or "none"


def _read(kind: type[T], written: Any, source: object) -> T:
    """What a file of features says of its making; ManifestError if nobody knows it."""
    try:
        return from_plain(kind, written, str(source))
    except RecipeError as error:
        raise ManifestError(error.message, error.hint) from error
