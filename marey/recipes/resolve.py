"""A recipe and its manifests: read, and made to fit each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from marey.data.loading.samplers import draw_epoch
from marey.data.manifest.join import read_manifests
from marey.data.manifest.manifest import Manifest
from marey.errors import RecipeError, did_you_mean
from marey.models.encoders.features import FeatureEncoder
from marey.models.video_model import Head
from marey.recipes.compatible import check_clips, check_objectives, check_same_features
from marey.recipes.recipe import DataSpec, Recipe
from marey.video.augment import flip_pairs


def read_data(recipe: Recipe) -> tuple[Manifest, Manifest | None]:
    """The training and validation manifests, checked wholly; no validation if there is none."""
    data = recipe.data
    if not data.train:
        raise RecipeError("data.train names no manifest", "give --manifest FILE")
    heads = {head.name: head.num_classes for head in recipe.model.heads} or None
    several = [head.name for head in recipe.model.heads if head.several]
    train_set = read_lists(data, data.train_lists, split="train", heads=heads)
    train_set = train_set.with_several(several)
    _check_roots(data, train_set)
    if not data.val:
        whole = read_lists(data, data.train_lists, heads=heads, check_files=False)
        if "val" not in whole.split_counts():
            return train_set, None
    val_set = read_lists(data, data.val_lists, split="val", heads=heads)
    several = [head for head in train_set.labels if train_set.has_several(head)]
    check_same_features(train_set, val_set)
    return train_set, val_set.with_several(several)


def _check_roots(data: DataSpec, train_set: Manifest) -> None:
    known = [] if train_set.sources is None else train_set.sources.dictionary.to_pylist()
    for name, _ in data.roots:
        if name not in known:
            raise RecipeError(
                f"data.roots names '{name}', a source that no clip has", did_you_mean(name, known)
            )


def read_lists(
    data: DataSpec,
    paths: Sequence[str | Path],
    *,
    split: str | None = None,
    heads: Mapping[str, int] | None = None,
    check_files: bool | None = None,
) -> Manifest:
    """The clips of manifests, below the roots that a recipe names."""
    return read_manifests(
        paths,
        split=split,
        root=data.root or None,
        roots=dict(data.roots),
        urls=data.urls,
        heads=heads,
        check_files=check_files,
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
    check_clips(recipe.model, train_set)
    check_objectives(recipe, train_set)
    plan = recipe.augment
    if plan.flip == "swap" and plan.flip_pairs is None:
        pairs = flip_pairs(train_set.classes[plan.flip_head])
        recipe = replace(recipe, augment=replace(plan, flip_pairs=pairs))
    return recipe
