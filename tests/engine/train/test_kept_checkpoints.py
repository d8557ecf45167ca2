"""Checkpoints that are kept of every so many epochs: as many as asked, and the run goes on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.engine.train.loop import train
from marey.engine.train.run_folder import keep_newest
from marey.engine.weights.checkpoint import load_checkpoint
from marey.errors import RecipeError
from marey.recipes.recipe import Recipe
from tests.engine.train.test_resume import kill
from tests.engine.train.test_train import with_stage
from tests.tiny import tiny_recipe, write_set


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    tiny = tiny_recipe(write_set(tmp_path_factory.mktemp("clips"), val_per_class=1), epochs=5)
    return replace(tiny, checkpoint_every=2, checkpoints_kept=1)


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_the_newest_of_every_second_epoch_stay(whole: Path) -> None:
    assert names(whole) == ["epoch-0004.pt", "last.pt"]


def test_a_run_goes_on_from_one_and_from_a_kill_beside_it_to_the_same_bits(
    recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    expected = load_checkpoint(whole / "checkpoints" / "last.pt")
    killed = kill(recipe, tmp_path / "k", after_save=lambda path, _: path.name == "epoch-0002.pt")
    assert names(killed) == ["epoch-0002.pt", "last.pt"]
    again = shutil.copytree(whole, tmp_path / "again")
    for run, file in ((killed, "last.pt"), (again, "epoch-0004.pt")):
        train(recipe, run, resume=run / "checkpoints" / file, quiet=True)
        found = load_checkpoint(run / "checkpoints" / "last.pt")
        assert all(torch.equal(found["model"][k], v) for k, v in expected["model"].items())
        assert names(run) == ["epoch-0004.pt", "last.pt"]


def test_the_epochs_that_max_steps_makes_are_kept_and_no_others(
    recipe: Recipe, tmp_path: Path
) -> None:
    """Of four steps an epoch: nine steps are three epochs, whatever `epochs` says."""
    nine = with_stage(recipe, epochs=1, max_steps=9)
    assert names(train(nine, tmp_path / "nine", quiet=True)) == ["epoch-0002.pt", "last.pt"]
    three = with_stage(recipe, epochs=50, max_steps=3)
    with pytest.raises(RecipeError, match="checkpoint_every is 2, but no stage has more than 1 ep"):
        train(three, tmp_path / "three", quiet=True)


def test_only_files_of_epochs_are_ever_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("epoch-0009.pt", "epoch-10000.pt", "epoch-mine.pt", "best.pt", "last.pt"):
        (folder / name).touch()
    keep_newest(tmp_path, 1)
    assert names(tmp_path) == ["best.pt", "epoch-10000.pt", "epoch-mine.pt", "last.pt"]
