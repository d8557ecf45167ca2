"""A recipe and its manifests: read, and made to fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from marey.data.loading.samplers import draw_epoch
from marey.data.manifest.join import read_manifests
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import require_local_files
from marey.errors import ManifestError, RecipeError, counted, did_you_mean
from marey.models.encoders.features import FeatureEncoder
from marey.models.video_model import Head
from marey.recipes.compatible import check_clips, check_objectives, check_same_features
from marey.recipes.frozen import check_trained_on
from marey.recipes.recipe import DataSpec, Recipe
from marey.video.mirrored_classes import flip_pairs


def read_data(recipe: Recipe) -> tuple[Manifest, Manifest | None]:
    """The training and validation manifests, checked wholly; no validation if there is none."""
    data = recipe.data
    if not data.train:
        raise RecipeError(
            "data.train names no manifest", "give the clips to train on (--manifest FILE)"
        )
    heads = {head.name: head.num_classes for head in recipe.model.heads} or None
    several = [head.name for head in recipe.model.heads if head.several]
    whole = dealt(_read(data, heads), data)
    require_local_files(whole, "train")
    train_set = whole.select("train").with_several(several)
    _check_roots(data, train_set)
    if not data.val and "val" not in whole.split_counts():
        return train_set, None
    if data.val_lists != data.train_lists:
        whole = read_manifests(data.val_lists, heads=heads, at=data.location)
    require_local_files(whole, "val")
    val_set = whole.select("val")
    several = [head for head in train_set.labels if train_set.has_several(head)]
    check_same_features(train_set, val_set)
    return train_set, val_set.with_several(several)


def dealt(manifest: Manifest, data: DataSpec) -> Manifest:
    """The clips with the splits that `data.fold` makes, if there is one, else with their own.

    ManifestError if the manifest has no such fold.
    """
    return manifest if data.fold is None else manifest.with_fold(data.fold)


def _read(data: DataSpec, heads: Mapping[str, int] | None) -> Manifest:
    """The manifests to train on; where the recipe's heads do not fit them, the error says how."""
    try:
        return read_manifests(data.train_lists, heads=heads, at=data.location)
    except ManifestError as error:
        found = _heads_of(data) if heads else None
        if found is None or found == heads:
            raise
        has = ", ".join(f"'{name}' with {counted(k, 'class')}" for name, k in found.items())
        raise ManifestError(
            error.message,
            f"to train on the classes of this manifest ({has}) say model.heads=[]: new heads are "
            "made for them; otherwise correct the manifest",
        ) from error


def _heads_of(data: DataSpec) -> dict[str, int] | None:
    """Head -> number of classes, as the manifests themselves have them; None if there are none."""
    try:
        found = read_manifests(data.train_lists, at=data.location)
    except ManifestError:
        return None
    return {name: len(classes) for name, classes in found.classes.items()}


def _check_roots(data: DataSpec, train_set: Manifest) -> None:
    known = [] if train_set.sources is None else train_set.sources.dictionary.to_pylist()
    for name, _ in data.roots:
        if name not in known:
            raise RecipeError(
                f"data.roots names '{name}', a source that no clip has", did_you_mean(name, known)
            )


def resolve(recipe: Recipe, train_set: Manifest) -> Recipe:
    """The recipe with what only the data can say filled in.

    That is: heads, the width of features, pairs of mirrored classes. ManifestError if the clips are
    not what the model takes, RecipeError if a stage balances a head that they lack or minimises
    what their labels do not allow.
    """
    for stage in recipe.stages:
        draw_epoch(stage.sampler, train_set.labels, train_set.sources, seed=recipe.seed, epoch=0)
    model = recipe.model
    heads = model.heads or tuple(Head(name, len(k)) for name, k in train_set.classes.items())
    heads = tuple(
        replace(head, several=head.several or train_set.has_several(head.name)) for head in heads
    )
    encoder = model.encoder
    if isinstance(encoder, FeatureEncoder) and encoder.dim is None and train_set.features:
        encoder = replace(encoder, dim=train_set.features.dim)
    recipe = replace(recipe, model=replace(model, heads=heads, encoder=encoder))
    check_clips(recipe.model, train_set, recipe)
    check_trained_on(recipe, train_set)
    check_objectives(recipe, train_set)
    plan = recipe.augment
    if plan.flip == "swap" and plan.flip_pairs is None:
        pairs = flip_pairs(train_set.classes[plan.flip_head])
        recipe = replace(recipe, augment=replace(plan, flip_pairs=pairs))
    return recipe
