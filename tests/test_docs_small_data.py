"""docs/small-data.md: its commands mean what is said of them, and its arithmetic is right."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.experiments.lr_range import RateRange
from marey.engine.experiments.sweep import Sweep, Trial
from marey.engine.results_file import RepeatedRun, Repeats, Results, Spread
from marey.recipes.recipe import Recipe
from tests.test_docs import commands

LOSS = {"loss": 1.0, "acc/top1": 50.0}
RUNS = tuple(RepeatedRun(name=f"fold-{k}", num_clips=4, metrics=LOSS) for k in range(2))
SPREAD = {"acc/top1": Spread(50.0, 20.0, 80.0)}


def test_commands_about_few_clips_mean_what_is_said_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[Any] = []
    printed: list[str] = []

    def repeated(recipe: Recipe, folder: Path, how: Any) -> Results:
        asked.append((how.folds, how.seeds, folder))
        return Results(repeats=Repeats(kind="folds", runs=RUNS, spread=SPREAD))

    def swept(sweep: Sweep, folder: Path, **_: object) -> list[Trial]:
        asked.append((len(sweep.points), sweep.folds, sweep.metric))
        return [Trial(number=0, values=sweep.points[0], metric=sweep.metric, value=0.5)]

    def ranged(recipe: Recipe, **_: object) -> RateRange:
        asked.append("rates")
        return RateRange((0.01, 0.1), (1.0, 2.0))

    def trained(recipe: Recipe, folder: Path, **_: object) -> None:
        asked.append((recipe.save_best, recipe.smooth, recipe.patience))

    monkeypatch.setattr("marey.engine.experiments.repeats.train_repeatedly", repeated)
    monkeypatch.setattr("marey.engine.experiments.sweep.run_sweep", swept)
    monkeypatch.setattr("marey.engine.experiments.lr_range.range_test", ranged)
    monkeypatch.setattr("marey.engine.train.loop.train", trained)
    for command in commands("small-data.md"):
        if command.startswith(("marey train", "marey sweep")):
            done = CliRunner().invoke(app, shlex.split(command)[1:])
            assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception}"
            printed.append(done.output)
    assert asked == [
        ("val/loss", 3, None),
        ("", 3, 5),
        (True, 1, Path("runs/five")),
        (False, 3, Path("runs/tsm-r18")),
        (12, False, "val/loss"),
        (3, True, "val/loss"),
        "rates",
    ]
    assert "marey train tsm-r18 lr=0.003 --manifest manifest.csv --folds" in "".join(printed)


def test_the_luckiest_of_thirty_coins_is_right_about_17_of_24_clips() -> None:
    tosses = np.random.default_rng(0).binomial(24, 0.5, (10_000, 30))
    assert np.median(tosses.max(axis=1)) == 17
