"""Plateau: torch's rule to the number, in the loop by what process 0 measured, resumable."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from marey.engine.train.best_epoch import follow_anew, reduced
from marey.engine.train.loop import train
from marey.engine.train.steps import Position
from marey.engine.weights.checkpoint import load_checkpoint
from marey.errors import RecipeError
from marey.recipes.optim import Plateau
from marey.recipes.recipe import Recipe
from tests.engine.train.test_resume import at_step, go_on, kill
from tests.engine.train.test_train import with_stage
from tests.tiny import tiny_recipe, write_set

numbers = st.lists(st.floats(0.01, 100) | st.just(math.nan), max_size=30)
plateaus = st.builds(
    Plateau,
    gamma=st.sampled_from([0.1, 0.5]),
    patience=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 1e-4, 0.2]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    cooldown=st.integers(0, 3),
    final=st.sampled_from([0.0, 0.05]),
)


@given(plateau=plateaus, values=numbers, higher=st.booleans())
def test_rates_are_those_of_torch(plateau: Plateau, values: list[float], higher: bool) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = ReduceLROnPlateau(
        optimizer,
        mode="max" if higher else "min",
        factor=plateau.gamma,
        patience=plateau.patience,
        threshold=plateau.threshold,
        threshold_mode=plateau.threshold_mode,
        cooldown=plateau.cooldown,
        min_lr=plateau.final,
        eps=0,
    )
    for number in values:
        theirs.step(number)
    found = plateau.after(values, higher_is_better=higher)
    assert found == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def test_what_is_measured_otherwise_begins_anew_at_the_rate_it_came_to() -> None:
    at, plateau = Position(measured=[1.0, 2.0, 2.0]), Plateau(patience=0)
    assert reduced(at, plateau) == pytest.approx(0.01)
    follow_anew(at, plateau)
    assert (at.measured, reduced(at, plateau)) == ([], pytest.approx(0.01))
    at.measured = [5.0, 6.0]
    assert reduced(at, plateau) == pytest.approx(0.001)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Of which no validation is better by half, so that each lowers the rate but the first."""
    tiny = tiny_recipe(write_set(tmp_path_factory.mktemp("clips")), epochs=3)
    return with_stage(tiny, schedule=Plateau(patience=0, threshold=0.5, gamma=0.5))


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


def rates_of(run: Path) -> list[float]:
    lines = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["lr"] for line in lines if line["kind"] == "step"]


def test_rates_follow_validation_and_it_is_said(whole: Path) -> None:
    assert rates_of(whole) == pytest.approx([0.05] * 8 + [0.025] * 4)
    assert "val/loss gets no better: rates are 0.5 of" in (whole / "train.log").read_text()


@pytest.mark.parametrize("step", [4, 9])
def test_a_run_stopped_anywhere_ends_with_the_same_bits(
    recipe: Recipe, whole: Path, tmp_path: Path, step: int
) -> None:
    expected = load_checkpoint(whole / "checkpoints" / "last.pt")
    run = kill(recipe, tmp_path / "run", after_save=at_step(step))
    found = go_on(run, recipe)
    assert all(torch.equal(found["model"][k], v) for k, v in expected["model"].items())
    assert found["progress"] == expected["progress"]
    assert rates_of(run) == rates_of(whole)


def test_a_changed_rule_keeps_the_rate_it_came_to(recipe: Recipe, tmp_path: Path) -> None:
    run = kill(recipe, tmp_path / "run", after_save=at_step(9))
    go_on(run, recipe, "stages.0.schedule.patience=5")
    assert rates_of(run) == pytest.approx([0.05] * 8 + [0.025] * 4)


def test_what_cannot_be_followed_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    other = with_stage(recipe, schedule=Plateau(metric="acc/tops"))
    with pytest.raises(RecipeError, match="stages.0.schedule.metric is 'acc/tops'.*acc/top"):
        train(other, tmp_path / "run", quiet=True)
    rows = Path(recipe.data.train).read_text().replace(",val,", ",test,")
    alone = Path(recipe.data.train).with_name("alone.csv")
    alone.write_text(rows)
    unvalidated = replace(recipe, data=replace(recipe.data, train=str(alone), val=""))
    with pytest.raises(RecipeError, match="schedule.metric is 'val/loss', but there are no clips"):
        train(unvalidated, tmp_path / "run", quiet=True)
    with pytest.raises(ValueError, match="gamma is 1"):
        Plateau(gamma=1)
