"""A recipe of features and the encoder that made these, as one recipe of videos.

    features [b t d] -- network --> heads                what is trained on a file of features
    clip -- encoder --> features -- neck --> heads       the same of videos

The network of features is the neck of the whole, or nothing where the heads take the features as
they are. What a file of features says of its making (`marey.recipes.frozen.about_encoder`) has the
encoder, and how it looked at the clips.
"""

from __future__ import annotations

from dataclasses import replace

from marey.data.features.feature_file import About
from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError, RecipeError
from marey.models.encoders.features import FeatureEncoder, FeaturesSpec, LateAverageSpec
from marey.models.video_model import ModelSpec
from marey.recipes.describe import brief
from marey.recipes.recipe import Recipe, Stage, TestViews, Views
from marey.recipes.schema import from_plain
from marey.recipes.val_views import one_view
from marey.video.augment import Augment
from marey.video.reading.flow import FlowSettings
from marey.video.sampling.segments import AllFrames

WEIGHTS_FROM = "weights_from"
"""Where a file of features says that the weights of its encoder are."""
FRAME_BY_FRAME = (FeaturesSpec, LateAverageSpec)
"""Networks of features that look at each vector alone: any number of views is a longer clip."""
_PER = {"frame": "a vector a frame", "clip": "means of frames", "token": "places of frames"}


def behind_encoder(recipe: Recipe, manifest: Manifest) -> Recipe | None:
    """A recipe of features as one of videos, to train: its network behind `manifest`'s encoder.

    None where it stays one of features: the file does not say what made it or where its weights
    are, or the recipe chooses among its vectors. It starts from those weights, or from its own.
    """
    assert manifest.features is not None
    about, neck = manifest.features.about, recipe.model.encoder
    weights = recipe.weights or str(about.get(WEIGHTS_FROM, ""))
    if "model_spec" not in about or not weights:
        return None
    if not _takes_all(recipe.train) or not _takes_all(recipe.test):
        return None
    if not isinstance(neck, FeatureEncoder) or neck.dim not in (None, manifest.features.dim):
        return None
    if about["per"] == "clip" and not isinstance(neck, FeaturesSpec):
        return None  # a mean of frames went in, which no frame of a video is
    try:
        whole = _behind(recipe, about, str(manifest.source))
    except RecipeError as error:
        raise ManifestError(error.message, error.hint) from error
    first, *others = whole.stages
    return replace(
        whole,
        stages=(replace(first, reset_heads=True), *others),  # what has the weights has a head too
        weights=weights,
    )


def joined(recipe: Recipe, about: About, source: str) -> Recipe:
    """The recipe of videos that scores them as `recipe`, of features, scores what was made of them.

    Args:
        recipe: of a trained model.
        about: what made the features that it was trained on.
        source: what is named in errors.

    Raises:
        RecipeError: no model of videos does the same.
    """
    if why := _why_apart(recipe, about, source):
        raise RecipeError(f"{source} takes features, and is no part of a model of videos: {why}")
    whole = replace(_behind(recipe, about, source), weights=str(about.get(WEIGHTS_FROM, "")))
    several = _num_views(whole.test) > 1
    # its own mean over vectors was one of logits: that of views is the same then
    average = "logits" if several else recipe.test.average
    return replace(whole, test=replace(whole.test, average=average))


def _why_apart(recipe: Recipe, about: About, source: str) -> str:
    """Why a trained model of features is none of videos; empty if it is."""
    neck, sampling = recipe.model.encoder, recipe.test.sampling
    if not about.keys() >= {"model_spec", "views", "pixels"} or about.get("per") not in _PER:
        return "nothing says which encoder made its features"
    if not isinstance(neck, FeatureEncoder):
        return f"{brief(neck)} is no neck"
    if not _takes_all(recipe.test):
        return f"test.sampling={brief(sampling)} chooses among the vectors of a clip"
    wanted = "token" if neck.over == "tokens" else "frame"
    per = "frame" if about["per"] == "clip" and isinstance(neck, FeaturesSpec) else about["per"]
    if per != wanted:
        return f"{brief(neck)} was trained on {_PER[per]}, and would be given {_PER[wanted]}"
    views = _num_views(from_plain(TestViews, about["views"], source))
    if views > 1 and recipe.model.consensus != "avg":
        return (
            f"model.consensus={recipe.model.consensus} was given {views} views of a clip at once, "
            "and would be given each"
        )
    if views > 1 and not isinstance(neck, FRAME_BY_FRAME):
        return f"{brief(neck)} was given {views} views of a clip at once, and would be given each"
    return ""


def _behind(recipe: Recipe, about: About, source: str) -> Recipe:
    """A recipe of features behind the encoder that made them, as that looked at clips."""
    encoder = from_plain(ModelSpec, about["model_spec"], source)
    test = from_plain(TestViews, about["views"], source)
    pixels = from_plain(Augment, about["pixels"], source)
    neck = recipe.model.encoder
    assert isinstance(neck, FeatureEncoder)
    model = replace(
        recipe.model,
        encoder=encoder.encoder,
        temporal=encoder.temporal,
        num_segments=encoder.num_segments,
        modality=encoder.modality,
        neck=None if isinstance(neck, FeaturesSpec) else replace(neck, dim=None),
    )
    one, data = one_view(test), recipe.data
    if "flow" in about:
        data = replace(data, flow=from_plain(FlowSettings, about["flow"], source))
    return replace(
        recipe,
        model=model,
        data=data,
        train=Views(one.sampling, one.crop),
        test=test,
        val=None,
        augment=replace(pixels, mixup=recipe.augment.mixup),
        stages=tuple(map(_frozen, recipe.stages)),
    )


def _takes_all(views: Views | TestViews) -> bool:
    return isinstance(views.sampling, AllFrames)


def _num_views(test: TestViews) -> int:
    return test.sampling.clips * test.crop.views


def _frozen(stage: Stage) -> Stage:
    return replace(stage, trainable="neck") if stage.trainable == "all" else stage
