"""Folds and seeds: every clip is tested once, what is done stays done, and one summary says all."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.data.manifest.read import read_manifest
from marey.engine.experiments import repeats
from marey.engine.experiments.repeats import SUMMARY, Repetition, spread, train_repeatedly
from marey.engine.inference.stored import DUMP, read_stored
from marey.engine.results_file import read_results
from marey.engine.weights.origin import origin_of
from marey.errors import CheckpointError, ManifestError, RecipeError, RunError
from marey.metrics.intervals import share_interval
from marey.recipes.recipe import Recipe
from tests.tiny import CLASSES, tiny_recipe, write_clip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of each class, one in each fold, and one that is in none."""
    folder = tmp_path_factory.mktemp("clips")
    lines = ["path,label,fold,num_frames"]
    for label, name in enumerate(CLASSES):
        for fold in (3, 1):
            write_clip(folder / f"{name}{fold}.mp4", label, seed=fold)
            lines.append(f"{name}{fold}.mp4,{label},{fold},6")
    write_clip(folder / "dark0.mp4", 0, seed=3)
    lines.insert(3, lines[1].replace(",3,", ",,").replace("dark3", "dark0"))
    (folder / "labels.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "manifest.csv"


def recipe_of(manifest: Path) -> Recipe:
    recipe = tiny_recipe(manifest, epochs=1)
    return replace(recipe, data=replace(recipe.data, val=""))


QUIET = Repetition(folds=True, quiet=True, say=lambda _: None)


def test_every_clip_is_tested_by_the_run_that_never_saw_it_and_nothing_is_done_twice(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    real, trained = repeats.train, []

    def train(recipe: Recipe, folder: Path, **options: object) -> Path:
        trained.append(folder.name)
        if len(trained) == 2:
            raise RunError("the disk is full")
        return real(recipe, folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(repeats, "train", train)
    with pytest.raises(RunError, match="the disk is full"):
        train_repeatedly(recipe_of(manifest), run, QUIET)
    with pytest.raises(CheckpointError, match=r"holds 1 runs and is none.*run/fold-1"):
        origin_of(run)
    results = train_repeatedly(recipe_of(manifest), run, QUIET)
    assert trained == ["fold-1", "fold-3", "fold-3"]
    assert (results.num_clips, results.num_missing, results.role) == (8, 0, "")
    assert repr(read_results(run / SUMMARY)) == repr(results)
    pooled = read_stored((run / SUMMARY).with_name(DUMP)).evaluation
    clips = read_manifest(manifest)
    assert clips.folds is not None
    for number in (1, 3):
        found = read_stored((run / f"fold-{number}" / SUMMARY).with_name(DUMP)).evaluation
        own = clips.folds[clips.folds >= 0] == number
        assert np.array_equal(pooled.scores["label"][own], found.scores["label"])
        assert set(found.manifest.texts()) == {f"{name}{number}.mp4" for name in CLASSES}
    assert results.repeats is not None
    top1 = [each.metrics["acc/top1"] for each in results.repeats.runs]
    assert [each.name for each in results.repeats.runs] == ["fold-1", "fold-3"]
    assert results.repeats.spread["acc/top1"].mean == results.metric("acc/top1") == sum(top1) / 2
    estimate = results.estimate("acc/top1")
    assert estimate is not None
    wilson = share_interval(results.metric("acc/top1"), 8)
    assert estimate.interval == pytest.approx(wilson, abs=1e-3)


def test_seeds_have_the_mean_of_their_numbers(manifest: Path, tmp_path: Path) -> None:
    recipe = replace(recipe_of(manifest), data=replace(recipe_of(manifest).data, fold=1))
    results = train_repeatedly(recipe, tmp_path, replace(QUIET, folds=False, seeds=2))
    runs = [read_results(tmp_path / f"seed-{number}" / SUMMARY) for number in range(2)]
    assert results.metric("loss") == pytest.approx(
        sum(r.metric("loss") for r in runs) / 2, abs=1e-4
    )
    assert runs[0].metric("loss") != runs[1].metric("loss")
    assert results.repeats is not None
    assert results.repeats.kind == "seeds"
    with pytest.raises(RunError, match="runs of another recipe: seed 0 -> 7.*another --work-dir"):
        train_repeatedly(replace(recipe, seed=7), tmp_path, replace(QUIET, folds=False, seeds=2))


def test_what_cannot_be_dealt_is_refused(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(manifest)
    bare = manifest.with_name("bare.csv")
    bare.write_text("path,label\ndark1.mp4,0\nred1.mp4,1\n")
    with pytest.raises(ManifestError, match="no clips of fold 0.*data init .* --folds"):
        train_repeatedly(recipe_of(bare), tmp_path / "a", QUIET)
    one = manifest.with_name("one.csv")
    one.write_text("path,label,fold\ndark1.mp4,0,2\nred1.mp4,1,2\n")
    with pytest.raises(RunError, match="one fold, 2, and nothing to train on"):
        train_repeatedly(recipe_of(one), tmp_path / "a", QUIET)  # in which nothing began
    folded = replace(recipe, data=replace(recipe.data, fold=1))
    with pytest.raises(RecipeError, match=r"data.fold is 1, but all folds"):
        train_repeatedly(folded, tmp_path / "c", QUIET)
    elsewhere = replace(recipe, data=replace(recipe.data, val="other.csv"))
    with pytest.raises(RecipeError, match=r"data.val is other.csv.*leave out --val-manifest"):
        train_repeatedly(elsewhere, tmp_path / "c", QUIET)
    with pytest.raises(RecipeError, match="no clips to validate on.*or --folds"):
        train_repeatedly(recipe_of(bare), tmp_path / "c", replace(QUIET, folds=False, seeds=2))
    with pytest.raises(ValueError, match="fold is 1 and val other.csv.*leave out val"):
        replace(recipe.data, fold=1, val="other.csv")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="one after the other, by one process.*data.fold=0"):
        train_repeatedly(recipe, tmp_path / "d", QUIET)


def test_a_percentage_stays_one_and_one_run_has_no_spread() -> None:
    over = spread("acc/top1", [90.0, 100.0])
    assert (over.mean, over.high) == (95.0, 100.0)
    assert spread("loss", [0.5, 1.5]).low < 0
    assert math.isnan(spread("acc/top1", [50.0]).low)


def test_folds_that_are_dealt_otherwise_are_not_mixed(manifest: Path, tmp_path: Path) -> None:
    own = manifest.with_name("own.csv")
    text = manifest.read_text(encoding="utf-8")
    own.write_text(text, encoding="utf-8")
    results = train_repeatedly(recipe_of(own), tmp_path / "run", QUIET)
    own.write_text(text.replace("dark3.mp4,0,3", "dark3.mp4,0,1"), encoding="utf-8")
    with pytest.raises(RunError, match="the folds changed since .*clips are in other ones"):
        train_repeatedly(recipe_of(own), tmp_path / "run", QUIET)
    own.write_text(text, encoding="utf-8")
    assert repr(train_repeatedly(recipe_of(own), tmp_path / "run", QUIET)) == repr(results)
    with pytest.raises(RunError, match="holds folds, and folds by seeds are asked for"):
        train_repeatedly(recipe_of(own), tmp_path / "run", replace(QUIET, seeds=2))
