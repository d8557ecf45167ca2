"""Every published row builds, costs what it claims, and says where its number is from."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from marey.models.profile import cost, num_parameters
from marey.models.shapes import shapes_only
from marey.models.video_model import Head, ModelSpec
from marey.recipes.catalog import deviations, groups, rows
from marey.recipes.describe import brief, facts, model_in_words
from marey.recipes.recipe import Recipe

PUBLISHED = [recipe for recipe in rows().values() if recipe.claim]
FROM_NOTHING = {"r2plus1d-r18-16f-k400", "s3d-64f-k400"}
"""The rows that are published as trained from random weights."""


def each(recipes: list[Recipe]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recipe", recipes, ids=lambda recipe: recipe.name)


@cache
def built(spec: ModelSpec) -> tuple[int, dict[str, torch.Size]]:
    """Parameters, and the shape of every entry of the state dict."""
    with shapes_only():
        model = spec.build()
    return num_parameters(model), {name: w.shape for name, w in model.state_dict().items()}


@cache
def gmacs_at_224(spec: ModelSpec) -> float:
    return cost(spec, 224).gmacs


@each(PUBLISHED)
def test_a_row_has_the_parameters_and_gmacs_of_its_claim(recipe: Recipe) -> None:
    claim = recipe.claim
    assert claim is not None
    parameters, _ = built(recipe.model)
    if claim.params_millions:
        assert parameters / 1e6 == pytest.approx(claim.params_millions, rel=5e-3)
    if claim.gmacs_per_view:
        # classes are of no weight, and rows of one model that differ in them are counted once
        spec = replace(
            recipe.tested_model, heads=(Head(num_classes=174),), dropout=0.5, partial_bn=False
        )
        assert gmacs_at_224(spec) == pytest.approx(claim.gmacs_per_view, rel=5e-3)


@each(PUBLISHED)
def test_a_row_says_where_its_number_is_from_and_how_it_is_tested(recipe: Recipe) -> None:
    said = facts(recipe)
    assert recipe.claim
    assert 10 < (recipe.claim.top1 or recipe.claim.mean_ap or 0) < 100
    assert said["source"]
    of = "EvenFrames" if recipe.model.takes_features else "clips x crops: "
    assert said["tested on"].startswith(of)
    assert (said["starts from"] == "nothing") == (recipe.name in FROM_NOTHING)


def test_names_are_unique_in_all_files() -> None:
    assert sum(map(len, groups().values())) == len(rows())


@each([recipe for recipe in PUBLISHED if recipe.weights.startswith("from:")])
def test_a_row_starts_from_a_row_that_exists_and_has_its_weights(recipe: Recipe) -> None:
    source = rows()[recipe.weights.removeprefix("from:")]
    (_, ours), (_, theirs) = built(recipe.model), built(source.model)
    differing = {name for name in ours if name not in theirs or ours[name] != theirs[name]}
    assert all(name.startswith("heads.") for name in differing)


def test_values_are_written_without_their_defaults() -> None:
    recipe = rows()["tsm-r50-nl-8f-k400-dense"]
    assert model_in_words(recipe.model) == "ResNetSpec(50) + TSM(8) + NonLocal()"
    assert brief(recipe.test.sampling) == "Dense(8)"
    assert brief(recipe.stages[0].optim) == "SGD(0.01, weight_decay=0.0001)"


def test_short_videos_are_tested_as_they_were_for_the_published_numbers() -> None:
    sampling = rows()["blvnet-tam-101-a2-b4-f32x2-ssv2"].test.sampling
    repeated = sorted(np.random.RandomState(0).choice(40, 64).tolist())
    assert sampling.indices(40).tolist() == [repeated]


def test_a_row_names_what_its_file_does_otherwise() -> None:
    assert deviations("tsm-r50-8f-ssv1").startswith("weight decay is the 1e-4")
    assert not deviations("tsm-r18")
