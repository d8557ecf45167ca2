"""The Python way: train, evaluate, predict."""

from __future__ import annotations

from pathlib import Path

import pytest

import marey
from marey.errors import RecipeError
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml
from tests.tiny import CLASSES, tiny_recipe, write_set


def test_a_model_is_trained_evaluated_and_asked(tmp_path: Path) -> None:
    manifest, work_dir = write_set(tmp_path / "clips", per_class=1, val_per_class=1), tmp_path / "r"
    recipe = tiny_recipe(Path("elsewhere.csv"))
    run = marey.train(
        recipe,
        work_dir,
        manifest=manifest,
        val_manifest=manifest,
        epochs=1,
        batch_size=2,
        changes=["flip=none"],
        quiet=True,
    )
    assert run == work_dir
    trained = from_yaml(Recipe, (run / "recipe.yaml").read_text(encoding="utf-8"))
    assert (trained.data.train, trained.epochs, trained.batch_size) == (str(manifest), 1, 2)
    assert trained.augment.flip == "none"
    assert len(marey.evaluate(run).manifest) == 4
    assert (run / "results" / "val" / "results.json").is_file()
    model = marey.load(run)
    assert model.labels == CLASSES
    files = [manifest.parent / "red_0.mp4", manifest.parent / "none.mp4"]
    red, none = model.predict(files, top=1).values()
    assert (red, list(none[0])) == (model.predict(files[0], top=1), ["error"])


def test_what_is_to_be_trained_has_to_be_known() -> None:
    with pytest.raises(RecipeError, match="which recipe, or which clips"):
        marey.train()
    with pytest.raises(RecipeError, match="leave out one"):
        marey.train("tsm-r18", weights="imagenet", from_scratch=True)
    assert {"train", "evaluate", "load", "__version__"} <= set(dir(marey))
