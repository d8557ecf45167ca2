"""What a start leaves in a folder, what it finds there, and that it is alone in it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from marey.engine.report.report import write_report
from marey.engine.train.loop import train
from marey.engine.train.run_folder import held
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.origin import read_run_recipe
from marey.engine.weights.trained import export_release, load_trained
from marey.errors import CheckpointError, MareyError, RunError
from marey.models import TSM, ResNetSpec
from marey.recipes.optim import SGD
from marey.recipes.recipe import Recipe
from marey.storage.lock import Held
from tests.tiny import tiny_recipe, write_set


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"), per_class=2, val_per_class=1)


@pytest.fixture(scope="module")
def recipe(manifest: Path) -> Recipe:
    return tiny_recipe(manifest, epochs=1)


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("runs") / "run", quiet=True)


def no_model(recipe: Recipe) -> Recipe:
    model = replace(recipe.model, encoder=ResNetSpec(18, channels=8), temporal=(TSM(), TSM()))
    return replace(recipe, model=model)


def no_weights(recipe: Recipe) -> Recipe:
    return replace(recipe, weights="missing.pt")


def no_manifest(recipe: Recipe) -> Recipe:
    return recipe.with_data("missing.csv")


def no_metric(recipe: Recipe) -> Recipe:
    return replace(recipe, save_best="acc/top2")


@pytest.mark.parametrize("fault", [no_model, no_weights, no_manifest, no_metric])
def test_a_start_that_fails_leaves_nothing(
    fault: Callable[[Recipe], Recipe], recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(MareyError):
        train(fault(recipe), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def begun(recipe: Recipe, tmp_path: Path) -> Path:
    """A run that ended in its first step."""
    stage = replace(recipe.stages[0], optim=SGD(lr=1e30, groups="plain", head_lr5=False), epochs=2)
    wild = replace(recipe, stages=(stage,), clip_grad=None)
    with pytest.raises(RunError, match="the loss is"):
        train(wild, tmp_path / "begun", quiet=True)
    (tmp_path / "begun" / "bad_clips.csv").write_text("row,path,reason\n1,a.mp4,gone\n")
    assert load_checkpoint(tmp_path / "begun/checkpoints/last.pt")["progress"]["global_step"] == 0
    return tmp_path / "begun"


@pytest.mark.parametrize("resumes", [False, True])
def test_a_run_that_never_trained_is_no_model_and_is_begun_anew(
    resumes: bool, begun: Path, run: Path, recipe: Recipe, tmp_path: Path
) -> None:
    for use in (load_trained, lambda folder: export_release(folder, tmp_path / "x")):
        with pytest.raises(MareyError, match="no trained model: no step of its run is saved"):
            use(begun)
    assert "No epoch is finished" in write_report(begun).read_text(encoding="utf-8")
    last = begun / "checkpoints" / "last.pt"
    train(recipe, begun, resume=last if resumes else None, quiet=True)
    assert len((begun / "metrics.csv").read_text().splitlines()) == 2
    assert not (begun / "bad_clips.csv").exists()
    ours, theirs = (load_trained(folder).model.state_dict() for folder in (begun, run))
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_a_run_is_trained_by_one_at_a_time_and_may_be_tested_meanwhile(
    run: Path, recipe: Recipe
) -> None:
    with held(run):
        for resume in (None, run / "checkpoints" / "last.pt"):
            with pytest.raises(MareyError, match="already holds a run|another process trains in"):
                train(recipe, run, resume=resume, quiet=True)
        assert load_trained(run).recipe.name == "tiny"


def test_of_two_that_begin_in_one_folder_one_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(Held, match=f"another process trains in {tmp_path}"):
        train(recipe, tmp_path, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("size", [None, 0, 400, -300])
def test_a_recipe_that_is_lost_is_that_of_the_checkpoint(
    size: int | None, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(run, tmp_path / "run")
    wanted, path = read_run_recipe(run), run / "recipe.yaml"
    text = path.read_bytes()
    path.unlink() if size is None else path.write_bytes(text[:size])
    with caplog.at_level(logging.WARNING, logger="marey"):
        assert read_run_recipe(run) == load_trained(run).recipe == wanted
    assert "last.pt is used" in caplog.text
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(MareyError):
        load_trained(run)


def test_a_recipe_that_somebody_edits_wrongly_is_an_error(run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run, tmp_path / "run")
    path = run / "recipe.yaml"
    path.write_text(path.read_text().replace("seed:", "sed: 1\nseed:"))
    with pytest.raises(MareyError, match=r"recipe\.yaml: sed"):
        read_run_recipe(run)


def test_the_names_of_classes_keep_their_order(run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run, tmp_path / "run")
    file, names = run / "labels.txt", load_trained(run).classes["label"]
    for text in (b"", b"\0\0\n"):
        file.write_bytes(text)
        assert load_trained(run).classes["label"] == names
    file.unlink()
    assert load_trained(run).classes["label"] == names
    file.write_text("\n".join(["night", *names[1:]]))
    assert load_trained(run).classes["label"][0] == "night"
    file.write_text("\n".join(names[::-1]))
    with pytest.raises(CheckpointError, match=r"labels\.txt:1: class 0 is 'blue', .* as 'dark'"):
        load_trained(run)


def test_a_folder_of_several_runs_is_not_trained_in(recipe: Recipe, run: Path) -> None:
    with pytest.raises(RunError, match="holds runs of its own: run") as error:
        train(recipe, run.parent, quiet=True)
    assert "--folds" in error.value.hint
    assert not (run.parent / "recipe.yaml").exists()
