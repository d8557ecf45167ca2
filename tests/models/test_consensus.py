"""TSN's segment consensus: the mean over frames, the highest, or the mean of the K highest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.data.manifest.read import read_manifest
from marey.errors import RecipeError
from marey.models import ResNetSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.catalog import find
from marey.recipes.compatible import check_objectives
from marey.recipes.longtail import lmr
from marey.recipes.schema import override
from tests.tiny import tiny_recipe, write_set

SPEC = ModelSpec(ResNetSpec(18, channels=1), num_segments=6, heads=(Head("a", 3), Head("b", 2)))


@given(k=st.integers(1, 6), frames=st.integers(1, 6), seed=st.integers(0, 99))
def test_it_is_the_mean_of_each_class_highest_frames(k: int, frames: int, seed: int) -> None:
    torch.manual_seed(seed)
    model = replace(SPEC, consensus=k, head_std=1.0).build().eval()
    x = torch.randn(2, frames, model.encoded_width())
    with torch.no_grad():
        found = model.classify(x)
        of_frames = {name: head(x).numpy() for name, head in model.heads.items()}
    for name, scores in of_frames.items():
        expected = np.sort(scores, axis=1)[:, ::-1][:, :k].mean(axis=1)
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_two_ends_are_the_highest_and_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, SPEC.build().encoded_width())
    scores = {}
    for rule in ("avg", "max", 1, 6):
        torch.manual_seed(1)
        scores[rule] = replace(SPEC, consensus=rule, head_std=1.0).build().eval().classify(x)["a"]
    torch.testing.assert_close(scores["max"], scores[1])
    torch.testing.assert_close(scores["avg"], scores[6])


def test_it_is_one_value_of_the_recipe() -> None:
    row = find("tsm-r18")
    assert override(row, ["model.consensus=max"]).model.consensus == "max"
    assert override(row, ["model.consensus=3"]).model.consensus == 3
    with pytest.raises(RecipeError, match="consensus is 9, the highest of 8 segments"):
        override(row, ["model.consensus=9"])
    with pytest.raises(RecipeError, match="consensus is 0"):
        override(row, ["model.consensus=0"])
    with pytest.raises(RecipeError, match="model.consensus is 'mean', expected 'avg' or 'max' or"):
        override(row, ["model.consensus=mean"])


def test_a_loss_on_mean_features_is_refused(tmp_path: Path) -> None:
    clips = read_manifest(write_set(tmp_path, per_class=1, val_per_class=0))
    recipe = lmr(tiny_recipe(tmp_path / "manifest.csv"))
    heads = (Head("label", 4),)
    for rule in ("avg", "max"):
        asked = replace(recipe, model=replace(recipe.model, heads=heads, consensus=rule))
        if rule == "avg":
            check_objectives(asked, clips)
            continue
        with pytest.raises(RecipeError, match="LMR, which mixes the mean features"):
            check_objectives(asked, clips)
