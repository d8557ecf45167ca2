"""What is said of the weights of a run: their epoch, what chose it, and what clips were to them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.data.manifest.join import read_manifests
from marey.engine.inference.clip_roles import role_of
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.results_file import Chosen, Results, read_results
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint, save_checkpoint
from marey.engine.weights.origin import origin_of, read_run_recipe
from marey.engine.weights.trained import export_release, load_trained
from tests.tiny import tiny_recipe, write_set


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chosen")
    recipe = tiny_recipe(write_set(folder / "clips", per_class=1, val_per_class=1), epochs=1)
    return train(replace(recipe, save_best="val/loss", smooth=2), folder / "run", quiet=True)


def results_on(split: str, run: Path, out: Path) -> Results:
    options = EvalOptions(folder=run, split=split, workers=0, device="cpu")
    _, path = evaluate_folder(options, out)
    return read_results(path)


def test_results_say_what_their_clips_were_to_the_weights(run: Path, tmp_path: Path) -> None:
    by_val = results_on("val", run, tmp_path / "val")
    assert (by_val.split, by_val.role) == ("val", "choice")
    assert by_val.chosen.in_words() == (
        "weights of epoch 1 of 1, chosen by val/loss (mean of 2 validations) on split val"
    )
    assert "these clips chose the epoch (by val/loss)" in by_val.caution
    assert results_on("train", run, tmp_path / "train").role == "training"
    last = run / "checkpoints" / "last.pt"
    by_end = results_on("val", last, tmp_path / "last")
    assert (by_end.chosen.how, by_end.role, by_end.caution) == ("end", "", "")


def test_clips_are_known_however_their_paths_are_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, chosen = read_run_recipe(run), load_trained(run).chosen
    lists = [Path(each) for each in recipe.data.val_lists]
    monkeypatch.chdir(lists[0].parent.parent)
    (tmp_path / "link").symlink_to(lists[0].parent)
    for written in (Path(lists[0].parent.name, lists[0].name), tmp_path / "link" / lists[0].name):
        clips = read_manifests([str(written)]).select("train").take(np.array([1, 0]))
        assert role_of(clips, chosen, recipe.data) == ("training", 2)


def test_a_part_of_the_clips_in_another_order_is_known(run: Path) -> None:
    recipe = read_run_recipe(run)
    clips = read_manifests(recipe.data.val_lists)
    chosen, data = load_trained(run).chosen, recipe.data
    val, train_set = clips.select("val"), clips.select("train")
    assert role_of(val.take(np.array([2, 0])), chosen, data) == ("choice", 2)
    assert role_of(train_set.take(np.array([1])), chosen, data) == ("training", 1)
    assert role_of(clips, chosen, data) == ("training", 4)
    gone = replace(data, train="gone.csv", val="gone.csv")
    assert role_of(val.take(np.array([2, 0])), chosen, gone) == ("", 0)
    part = Results(role="choice", role_clips=2, num_clips=3)
    assert part.caution.startswith("2 of these clips chose the epoch: on others")


def test_a_release_says_it_too(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    results_on("val", copy, copy / "results" / "val")
    release = export_release(copy, tmp_path / "release")
    assert load_trained(release).chosen == load_trained(run).chosen
    assert results_on("val", release, tmp_path / "out").role == "choice"
    card = (release / "README.md").read_text(encoding="utf-8")
    assert "The weights of epoch 1 of 1, chosen by val/loss" in card
    assert "| 1 x 1 | these clips chose the epoch" in card


def test_an_earlier_run_chose_by_single_validations_of_its_first_headline(
    run: Path, tmp_path: Path
) -> None:
    old = shutil.copytree(run, tmp_path / "run")
    for path in (old / "checkpoints").iterdir():
        state = load_checkpoint(path)
        save_checkpoint(path, state | {"recipe": without_choice(state["recipe"])})
    recipe = old / "recipe.yaml"
    recipe.write_text(without_choice(recipe.read_text()))
    found = origin_of(old).chosen
    assert (found.how, found.by, found.on, found.smooth) == ("best", "acc/top1", "val", 1)
    assert (read_run_recipe(old).save_best, read_run_recipe(old).smooth) == ("acc/top1", 1)
    (old / "checkpoints" / "best.pt").unlink()
    assert origin_of(old).chosen.how == "end"


def without_choice(text: str) -> str:
    lines = text.splitlines()
    kept = [line for line in lines if not line.startswith(("smooth:", "patience:"))]
    return "\n".join(kept).replace("save_best: val/loss", "save_best: ''") + "\n"


def test_nothing_is_said_of_weights_that_nobody_knows() -> None:
    assert Chosen().in_words() == ""
    assert Chosen().role_of("") == ""
