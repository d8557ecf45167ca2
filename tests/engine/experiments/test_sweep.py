"""A sweep tries what it says, keeps what is done, and ranks by the number it was asked for."""

from __future__ import annotations

import csv
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from marey.engine.experiments import sweep as sweeps
from marey.engine.experiments.search_space import Range, Values, drawn, grid, read_axes
from marey.engine.experiments.sweep import Sweep, Trial, run_sweep
from marey.engine.results_file import Results
from marey.errors import RecipeError, RunError
from marey.recipes.recipe import Recipe
from tests.tiny import tiny_recipe, write_set


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    manifest = write_set(tmp_path_factory.mktemp("clips"), per_class=1, val_per_class=1)
    return tiny_recipe(manifest, epochs=1)


def sweep_of(recipe: Recipe, *words: str, **how: object) -> Sweep:
    axes, _ = read_axes(words)
    return Sweep(recipe=recipe, axes=axes, metric="val/loss", **how)  # type: ignore[arg-type]


def silent(_: str) -> None:
    pass


# --- what is tried --------------------------------------------------------------------------------


def test_words_say_what_is_tried_and_what_stays() -> None:
    axes, fixed = read_axes(
        ["lr=1e-4..1e-2", "frames=4..16", "flip=plain,none", "x=-1..1.5", "size=64", "m=[1,2]"]
    )
    assert axes == (
        Range("lr", 1e-4, 1e-2, "log"),
        Range("frames", 4, 16, "whole"),
        Values("flip", ("plain", "none")),
        Range("x", -1, 1.5, "linear"),
    )
    assert fixed == ["size=64", "m=[1,2]"]
    (lists,), _ = read_axes(["milestones=[1,2],[3]"])
    assert lists == Values("milestones", ("[1,2]", "[3]"))
    for word in ("lr=1..1", "lr=2..1"):
        with pytest.raises(RecipeError, match="has nothing between"):
            read_axes([word])
    with pytest.raises(RecipeError, match="lr is given twice"):
        read_axes(["lr=1,2", "lr=3,4"])
    with pytest.raises(RecipeError, match="lr is 0.01 and 1e-2, which are one value"):
        read_axes(["lr=0.01,0.1,1e-2"])


def test_points_are_the_same_however_many_and_lie_in_their_ranges() -> None:
    axes, _ = read_axes(["lr=1e-4..1e-2", "n=1..3", "flip=a,b"])
    points = drawn(axes, 32, seed=5)
    assert points[:8] == drawn(axes, 8, seed=5) != drawn(axes, 8, seed=6)
    rates = [float(point[0].removeprefix("lr=")) for point in points]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert 12 <= sum(rate < 1e-3 for rate in rates) <= 20  # half of them in half of the powers
    assert {point[1] for point in points} == {"n=1", "n=2", "n=3"}
    assert {point[2] for point in points} == {"flip=a", "flip=b"}
    few = drawn(read_axes(["batch_size=4..6"])[0], 9, seed=0)
    assert sorted(few) == [(f"batch_size={size}",) for size in (4, 5, 6)]
    with pytest.raises(RecipeError, match="no end of values.*--trials 20"):
        grid(axes)


def test_a_grid_is_tried_wholly_unless_fewer_trials_are_asked_for(recipe: Recipe) -> None:
    assert len(sweep_of(recipe, "lr=1,2,3", "seed=1,2").points) == 6
    assert len(sweep_of(recipe, "lr=1,2,3", "seed=1,2", trials=9).points) == 6
    assert len(sweep_of(recipe, "lr=1,2,3", "seed=1,2", trials=4).points) == 4
    with pytest.raises(RecipeError, match="--trials 20"):
        _ = sweep_of(recipe, "lr=1e-3..1.0").points
    with pytest.raises(RecipeError, match="nothing is to be tried.*lr=0.001,0.01"):
        sweep_of(recipe, "size=64")
    with pytest.raises(RecipeError, match="metric is 'val/los'.*did you mean 'val/loss'"):
        replace(sweep_of(recipe, "lr=1,2"), metric="val/los")


# --- trials ---------------------------------------------------------------------------------------


def test_what_is_done_is_kept_and_the_rest_is_ranked(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_sweep(sweep_of(recipe, "lr=0.05,1e30"), tmp_path, say=silent)
    assert [trial.values for trial in first] == [("lr=0.05",), ("lr=1e30",)]
    assert "not finite" in first[1].fault
    assert first[0].epoch == 1
    monkeypatch.setattr(sweeps, "train", None)  # nothing is trained again
    again = run_sweep(sweep_of(recipe, "lr=0.05,1e30"), tmp_path, say=silent)
    assert repr(again) == repr(first)
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["lr"] for row in rows] == ["0.05", "1e30"]
    assert float(rows[0]["val/loss"]) == pytest.approx(first[0].value, rel=1e-4)
    with pytest.raises(RunError, match="trial-000 is of another sweep: lr=0.05 by val/loss"):
        run_sweep(sweep_of(recipe, "lr=0.1,0.2"), tmp_path, say=silent)
    other = replace(recipe, batch_size=2)
    with pytest.raises(RunError, match="holds runs of another recipe: batch_size 4 -> 2"):
        run_sweep(sweep_of(other, "lr=0.05,1e30"), tmp_path, say=silent)
    with pytest.raises(RecipeError, match="optimm"):
        run_sweep(sweep_of(recipe, "stages.0.optimm.lr=1,2"), tmp_path / "b", say=silent)


def test_all_that_fails_is_an_error_and_greater_may_be_better(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def done(job: sweeps._Job) -> Trial:
        if job.trial.values == ("lr=9",):
            return replace(job.trial, fault="no")
        return replace(job.trial, value=float(job.trial.values[0].removeprefix("lr=")))

    monkeypatch.setattr(sweeps, "_do", done)
    by_top1 = replace(sweep_of(recipe, "lr=1,9,3"), metric="acc/top1")
    ranked = run_sweep(by_top1, tmp_path, say=silent)
    assert [trial.values[0] for trial in ranked] == ["lr=3", "lr=1", "lr=9"]
    failing = replace(by_top1, axes=(Values("lr", ("9", "9")),))
    with pytest.raises(RunError, match="none of 2 trials went well; the first: no"):
        run_sweep(failing, tmp_path / "all", say=silent)


def test_folds_that_did_not_measure_the_metric_failed(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "train_repeatedly", lambda *_: Results(metrics={"acc/top1": 50.0}))
    by_few = replace(sweep_of(recipe, "lr=1,2", folds=True), metric="acc/few")
    why = "none of 2 trials went well; the first: acc/few was not measured"
    with pytest.raises(RunError, match=why):
        run_sweep(by_few, tmp_path, say=silent)


def test_a_trial_may_take_as_long_as_systems_can_wait() -> None:
    assert sweeps.LONGEST_SECONDS * 1000 < 2**31


def test_optuna_learns_from_the_trials_before_and_goes_on(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    tried = []

    def done(job: sweeps._Job) -> Trial:
        tried.append(job.trial.number)
        rate = float(dict(v.split("=") for v in job.trial.values)["lr"])
        trial = replace(job.trial, value=abs(math.log10(rate) + 3))
        job.folder.mkdir(parents=True)
        sweeps.write_json(job.folder / sweeps.TRIAL, trial)
        return trial

    monkeypatch.setattr(sweeps, "_do", done)
    plan = sweep_of(recipe, "lr=1e-6..1.0", "batch_size=2,4", "eval_every=1..3", search="optuna")
    run_sweep(replace(plan, trials=3), tmp_path, say=silent)
    ranked = run_sweep(replace(plan, trials=15), tmp_path, say=silent)
    assert tried == list(range(15))
    assert ranked[0].value < 1
    with pytest.raises(RecipeError, match="optuna has no last trial.*--trials"):
        run_sweep(plan, tmp_path, say=silent)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RunError, match=r"optuna is not installed.*marey\[sweep\]"):
        run_sweep(replace(plan, trials=1), tmp_path, say=silent)


def test_a_sweep_goes_on_with_its_own_clips_and_folds_alone(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "clips", per_class=1, val_per_class=1)
    recipe, run = tiny_recipe(manifest, epochs=1), tmp_path / "sweep"
    run_sweep(sweep_of(recipe, "lr=0.05,0.1", trials=1), run, say=silent)
    text = manifest.read_text(encoding="utf-8")
    both = sweep_of(recipe, "lr=0.05,0.1")
    with pytest.raises(RunError, match="holds trials, and trials by folds are asked for.*--folds"):
        run_sweep(replace(both, folds=True), run, say=silent)
    changes = {
        text.replace("blue_0.mp4,3,train", "blue_0.mp4,2,train"): "training clips .*the labels are",
        text.replace("blue_1.mp4,3,val,6\n", ""): "validation clips .*there were 4 .* and are 3",
    }
    for edited, message in changes.items():
        manifest.write_text(edited, encoding="utf-8")
        with pytest.raises(RunError, match=f"the {message}.*put them back, or give another"):
            run_sweep(both, run, say=silent)
    manifest.write_text(text, encoding="utf-8")
    assert len(run_sweep(both, run, say=silent)) == 2
    (run / "runs.json").unlink()  # as an earlier marey left it
    assert len(run_sweep(both, run, say=silent)) == 2
