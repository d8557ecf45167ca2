"""`amp` "auto": what a run computes in is measured where it begins, said, and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.engine.experiments.repeats import Repetition, train_repeatedly
from marey.engine.train import precision
from marey.engine.train.distributed import World
from marey.engine.train.loop import train
from marey.engine.train.start import ready
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.origin import read_run_recipe
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, override, to_yaml
from tests.tiny import tiny_recipe, write_set

Pace = Callable[[int, bool], float]
Fix = Callable[[Pace], list[tuple[int, bool]]]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def recipe(manifest: Path) -> Recipe:
    return replace(tiny_recipe(manifest, epochs=1), save_best="acc/top1", smooth=1)


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Fix:
    """Has steps take so many seconds of (clips, amp), and keeps which were taken."""

    def fix(seconds: Pace) -> list[tuple[int, bool]]:
        taken: list[tuple[int, bool]] = []

        def step(_: object, clips: int, *, amp: bool) -> float:
            taken.append((clips, amp))
            return seconds(clips, amp)

        monkeypatch.setattr(precision._Trial, "seconds", step)
        return taken

    return fix


def chosen(recipe: Recipe, folder: Path) -> tuple[bool | str, str]:
    start = precision.with_precision(ready(recipe, folder, None, World()), World())
    return start.recipe.amp, start.notes[-1]


@pytest.mark.parametrize("half_takes", [0.5, 2.0])
def test_what_is_faster_here_is_chosen(
    recipe: Recipe,
    pace: Fix,
    tmp_path: Path,
    half_takes: float,
) -> None:
    pace(lambda clips, amp: 0.1 * clips * (half_takes if amp else 1.0))
    long = override(recipe, ["stages.0.epochs=100"])
    amp, note = chosen(long, tmp_path)
    assert amp is (half_takes < 1)
    name, other = ("bfloat16", "float32") if amp else ("float32", "bfloat16")
    assert note.startswith(f"computed in {name}")
    assert f"took 0.4 s in float32, {0.4 * half_takes:.2g} s in bfloat16" in note
    assert f"forces {other}" in note


def test_a_run_of_seconds_is_not_measured(recipe: Recipe, pace: Fix, tmp_path: Path) -> None:
    taken = pace(lambda *_: 0.01)
    amp, note = chosen(recipe, tmp_path)
    assert amp is False
    assert "less than a minute" in note
    assert not any(half for _, half in taken)


def test_measuring_ends_in_seconds(recipe: Recipe, pace: Fix, tmp_path: Path) -> None:
    taken = pace(lambda *_: 20.0)
    chosen(recipe, tmp_path)
    assert len(taken) == 3  # one tells that it is slow; then one of each


def test_float32_that_does_not_fit_is_not_chosen(recipe: Recipe, pace: Fix, tmp_path: Path) -> None:
    def seconds(clips: int, amp: bool) -> float:
        if clips > 2 and not amp:
            raise torch.OutOfMemoryError
        return 0.5

    pace(seconds)
    amp, note = chosen(override(recipe, ["stages.0.epochs=100"]), tmp_path)
    assert amp is True
    assert "do not fit into memory in float32" in note


@pytest.mark.parametrize("forced", [True, False])
def test_what_is_forced_is_not_measured(
    recipe: Recipe,
    pace: Fix,
    tmp_path: Path,
    forced: bool,
) -> None:
    taken = pace(lambda *_: 100.0)
    assert chosen(replace(recipe, amp=forced), tmp_path)[0] is forced
    assert not taken


def test_a_step_leaves_nothing_behind(recipe: Recipe, tmp_path: Path) -> None:
    start = ready(recipe, tmp_path, None, World())
    before = {name: value.clone() for name, value in start.model.state_dict().items()}
    state = torch.get_rng_state()
    trial = precision._Trial(start, recipe.stages[0], torch.device("cpu"))
    assert trial.seconds(2, amp=True) > 0
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in start.model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(weight.grad is None for weight in start.model.parameters())


def test_the_run_keeps_what_it_chose_and_goes_on_in_it(
    recipe: Recipe, pace: Fix, tmp_path: Path
) -> None:
    pace(lambda clips, amp: clips * (10.0 if not amp else 1.0))
    run = train(recipe, tmp_path / "run", quiet=True)
    assert "computed in bfloat16" in (run / "train.log").read_text()
    assert read_run_recipe(run).amp is True
    last = run / "checkpoints" / "last.pt"
    assert "amp: true" in load_checkpoint(last)["recipe"]
    taken = pace(lambda clips, amp: clips * (10.0 if amp else 1.0))  # another machine, say
    train(override(recipe, ["stages.0.epochs=2"]), run, resume=last, quiet=True)
    assert read_run_recipe(run).amp is True
    assert not taken


def test_seeds_that_are_compared_compute_in_the_same(
    recipe: Recipe, pace: Fix, tmp_path: Path
) -> None:
    taken = pace(lambda clips, amp: clips * (10.0 if not amp else 1.0))
    train_repeatedly(recipe, tmp_path, Repetition(seeds=2, quiet=True, say=lambda _: None))
    assert all(read_run_recipe(tmp_path / f"seed-{i}").amp is True for i in (0, 1))
    assert sum(amp for _, amp in taken) == 1  # of both runs together


def test_auto_is_the_default_and_survives_yaml(recipe: Recipe) -> None:
    assert recipe.amp == "auto"
    assert not recipe.in_bfloat16
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    assert override(recipe, ["amp=true"]).in_bfloat16
    assert override(recipe, ["amp=auto"]) == recipe
