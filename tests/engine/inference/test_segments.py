"""A run that trains on 2 frames and tests on 5: whatever tests it sees 5, or what is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import parquet
from torch import nn
from typer.testing import CliRunner

import marey
from marey.cli.app import app
from marey.data.features.feature_file import features_of, open_table
from marey.engine.train.loop import train
from marey.engine.weights.trained import export_release, load_trained
from marey.errors import RecipeError
from marey.models.sites import TemporalOp
from marey.recipes.compatible import check_tested
from marey.recipes.recipe import Recipe
from marey.video.sampling.segments import Segments
from tests.tiny import TinyEncoder, TinySpec, tiny_recipe, write_set


def on_five(recipe: Recipe) -> Recipe:
    return replace(recipe, test=replace(recipe.test, sampling=Segments(5)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    recipe = tiny_recipe(write_set(folder / "clips", per_class=2, val_per_class=1), epochs=1)
    return train(on_five(recipe), folder / "run", device="cpu", quiet=True)


def told(*words: object) -> str:
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def test_training_says_it_and_validates_on_the_frames_of_the_test(run: Path) -> None:
    log = (run / "train.log").read_text()
    assert "trained on 2 segments (2 frames), tested on 5 (5 frames)" in log
    assert "val/loss" in log


def test_a_run_and_its_release_are_tested_as_the_recipe_says(run: Path, tmp_path: Path) -> None:
    release = export_release(run, tmp_path / "release")
    assert "Takes 5 frames of 32 x 32 pixels." in (release / "README.md").read_text()
    manifest = run.parent / "clips" / "manifest.csv"
    for folder in (run, release):
        told("eval", folder, "--manifest", manifest, "--out", tmp_path / "out", "--device", "cpu")
        facts = json.loads((tmp_path / "out" / "results.json").read_text())
        assert (facts["views"]["segments"], facts["views"]["frames"]) == (5, 5)
    assert load_trained(release).model.frames == 2


def test_predictions_are_those_of_the_segments_asked_for(run: Path, tmp_path: Path) -> None:
    clip = run.parent / "clips" / "red_2.mp4"

    def scores_of(segments: int) -> np.ndarray:
        model = marey.load(run, segments=segments)
        with marey.open_video(clip) as reader:
            return model.scores(reader)["label"].numpy()

    with marey.open_video(clip) as reader:
        own = marey.load(run).scores(reader)["label"].numpy()
    np.testing.assert_array_equal(own, scores_of(5))
    assert not np.array_equal(own, scores_of(3))
    said = told("predict", run, clip, "--segments", 3, "--device", "cpu")
    assert "trained on 2 segments (2 frames), tested on 3 (3 frames)" in said
    out = tmp_path / "three.parquet"
    told("predict", run, clip.parent, "--segments", 3, "--out", out, "-j", 0, "--device", "cpu")
    table = rows_of(out)
    row = next(row for row in table if row["path"].endswith("red_2.mp4"))
    np.testing.assert_allclose(row["scores"], scores_of(3), rtol=0, atol=1e-5)


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def test_features_are_of_the_tests_frames(run: Path, tmp_path: Path) -> None:
    manifest, out = run.parent / "clips" / "manifest.csv", tmp_path / "three.arrow"
    words = (
        "test.sampling.num_segments=3",
        "--manifest",
        manifest,
        "--out",
        out,
        "--device",
        "cpu",
    )
    told("features", run, *words, "-j", 0)
    features = features_of(out, open_table(out))
    assert features is not None
    assert set(features.lengths.tolist()) == {3}


@dataclass(frozen=True)
class Timed(TinySpec):
    """Adds to each frame a number of its own, and does not say that it is bound to them."""

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> TinyEncoder:
        encoder = super().build(temporal, num_segments)
        encoder.times = nn.Parameter(torch.zeros(num_segments))
        return encoder


def test_a_model_bound_to_its_frames_is_found_before_it_is_trained() -> None:
    recipe = on_five(tiny_recipe(Path("clips.csv")))
    heads = marey.recipe("tsm-r50-8f-ssv1").model.heads
    bound = replace(recipe, model=replace(recipe.model, encoder=Timed(), heads=heads))
    check_tested(
        replace(bound, model=replace(bound.model, encoder=TinySpec())).model.build(), recipe
    )
    with pytest.raises(RecipeError, match=r"cannot take the views of test: Timed.*times \(2,\)"):
        check_tested(bound.model.build(), bound)
