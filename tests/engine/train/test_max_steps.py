"""A stage that ends after so many steps: its schedule stretched over them, resumable at any."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.engine.train.changes import changes
from marey.engine.train.dry_run import dry_run
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.origin import origin_of
from marey.errors import RecipeError
from marey.recipes import longtail
from marey.recipes.catalog import find
from marey.recipes.optim import StepDecay, Warmup
from marey.recipes.recipe import Recipe
from marey.recipes.val_views import override_with_val
from tests.engine.train.test_resume import at_step, go_on, kill, rows_of
from tests.engine.train.test_train import with_stage
from tests.tiny import tiny_recipe, write_set

STEPS = 4
"""Of an epoch: 16 clips by 4."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Six steps: an epoch and a half, at the rates of four epochs."""
    tiny = tiny_recipe(write_set(tmp_path_factory.mktemp("clips")), epochs=4)
    return with_stage(tiny, max_steps=6, warmup=Warmup(1.0, start=0.0))


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


def rates_of(run: Path) -> list[float]:
    lines = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["lr"] for line in lines if line["kind"] == "step"]


def test_the_stage_ends_there_and_its_rates_are_stretched_over_the_steps(whole: Path) -> None:
    def rate(epoch: float) -> float:  # torch's, written out: a warm-up of one epoch of four
        cosine = 0.5 * (1 + math.cos(math.pi * max(0.0, epoch - 1) / 3))
        return 0.05 * min(epoch, 1.0) * cosine

    assert rates_of(whole) == pytest.approx([rate(4 * step / 6) for step in range(6)])
    rows = rows_of(whole)
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "4"), ("2", "6")]
    assert all(row["val/loss"] for row in rows)  # the epoch it ends in is validated
    chosen = origin_of(whole).chosen
    assert (chosen.how, chosen.epoch, chosen.epochs) == ("end", 2, 2)


def test_more_steps_than_epochs_go_on(recipe: Recipe, tmp_path: Path) -> None:
    more = with_stage(recipe, max_steps=9, epochs=1, warmup=Warmup(), schedule=StepDecay((0.5,)))
    run = train(more, tmp_path / "run", quiet=True)
    assert rates_of(run) == pytest.approx([0.05] * 5 + [0.005] * 4)
    assert [row["step"] for row in rows_of(run)] == ["4", "8", "9"]


@pytest.mark.parametrize("step", [3, 5, 6])
def test_a_run_stopped_anywhere_ends_with_the_same_bits(
    recipe: Recipe, whole: Path, tmp_path: Path, step: int
) -> None:
    run = kill(recipe, tmp_path / "run", after_save=at_step(step))
    expected = load_checkpoint(whole / "checkpoints" / "last.pt")
    found = go_on(run, recipe)
    assert all(torch.equal(found["model"][k], v) for k, v in expected["model"].items())
    assert found["progress"] == expected["progress"]
    assert (rows_of(run), rates_of(run)) == (rows_of(whole), rates_of(whole))


def test_the_next_stage_counts_its_own_steps(recipe: Recipe, tmp_path: Path) -> None:
    first = replace(recipe.stages[0], max_steps=2, warmup=Warmup())
    second = replace(first, max_steps=5)
    both = replace(recipe, stages=(first, second))
    run = train(both, tmp_path / "run", quiet=True)
    assert [row["step"] for row in rows_of(run)] == ["2", "6", "7"]
    stopped = kill(both, tmp_path / "stopped", after_save=at_step(4))
    assert (
        go_on(stopped, both)["progress"]
        == load_checkpoint(run / "checkpoints" / "last.pt")["progress"]
    )
    assert longtail.crt(recipe).stages[1].max_steps is None
    assert longtail.deferred(recipe).stages[1].max_steps == 1


def test_a_dry_run_says_the_steps(recipe: Recipe, tmp_path: Path) -> None:
    said = "\n".join(dry_run(recipe, tmp_path / "run", device="cpu"))
    assert "stage 0     6 steps, 4 an epoch, of 4 clips" in said


def test_what_makes_no_sense_is_refused(recipe: Recipe) -> None:
    row = find("tsm-r18")
    assert override_with_val(row, ["max_steps=7"]).stages[0].max_steps == 7
    with pytest.raises(RecipeError, match="max_steps is 7, of a stage of no epochs"):
        override_with_val(row, ["max_steps=7", "epochs=0"])
    with pytest.raises(RecipeError, match="max_steps is 0, expected at least 1"):
        override_with_val(row, ["max_steps=0"])
    fewer = with_stage(recipe, max_steps=2)
    with pytest.raises(RecipeError, match="max_steps is 2, the run has taken 5 of it"):
        changes(recipe, fewer, stage=0, epoch=2, steps=5, hint="")
