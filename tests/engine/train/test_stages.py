"""Second stages in the training loop: cRT, LWS, tau-normalisation, and a resume within them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import (
    last_checkpoint,
    load_checkpoint,
    load_strictly,
    save_checkpoint,
)
from marey.engine.weights.origin import read_run_recipe
from marey.recipes import longtail
from marey.recipes.recipe import Recipe
from tests.engine.train.test_train import differs, epochs_of, model_of, state_of, without_dropout
from tests.tiny import tiny_recipe, write_set


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def base(manifest: Path) -> Recipe:
    return without_dropout(tiny_recipe(manifest, epochs=1))


@pytest.fixture(scope="module")
def first_stage(base: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    return model_of(train(base, tmp_path_factory.mktemp("one") / "run", quiet=True))


def shortened(recipe: Recipe) -> Recipe:
    """Its second stage of one epoch."""
    first, second = recipe.stages
    return replace(recipe, stages=(first, replace(second, epochs=min(second.epochs, 1))))


def test_scales_change_every_class_by_one_factor_and_nothing_else(
    base: Recipe, first_stage: dict[str, Tensor], tmp_path: Path
) -> None:
    run = train(shortened(longtail.lws(base)), tmp_path / "run", quiet=True)
    learned = model_of(run)
    encoder = [name for name in first_stage if name.startswith("encoder.")]
    assert all(torch.equal(first_stage[name], learned[name]) for name in encoder)
    factors = learned["heads.label.weight"] / first_stage["heads.label.weight"]
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), rtol=1e-4, atol=0)
    assert (factors - 1).abs().max() > 1e-4
    model = read_run_recipe(run).model.build()
    load_strictly(model, learned, source=run)


@pytest.mark.parametrize("second_stage", [longtail.crt, longtail.lws])
def test_a_run_resumed_within_the_second_stage_ends_with_the_same_bits(
    base: Recipe, second_stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(shortened(second_stage(base)), ema=0.9, save_best="acc/top1", smooth=1)
    whole = train(recipe, tmp_path / "whole", quiet=True)

    def killed(path: Path, state: dict[str, object]) -> None:
        save_checkpoint(path, state)
        if state["progress"]["global_step"] == 6:  # type: ignore[index]
            raise KeyboardInterrupt

    monkeypatch.setattr("marey.engine.train.loop.save_checkpoint", killed)
    halved = tmp_path / "halved"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, halved, save_steps=1, quiet=True)
    monkeypatch.undo()
    train(recipe, halved, resume=last_checkpoint(halved), quiet=True)
    for part in ("model", "ema"):
        assert differs(*(state_of(run)[part] for run in (whole, halved))) == 0
    best = [load_checkpoint(run / "checkpoints" / "best.pt")["model"] for run in (whole, halved)]
    assert differs(*best) == 0


@pytest.mark.parametrize("ema", [None, 0.9])
def test_normalising_takes_no_step_and_is_what_best_holds(
    base: Recipe, first_stage: dict[str, Tensor], ema: float | None, tmp_path: Path
) -> None:
    recipe = replace(
        longtail.tau_normalised(base, tau=1.0), ema=ema, save_best="acc/top1", smooth=1
    )
    run = train(recipe, tmp_path / "run", quiet=True)
    weight = model_of(run)["heads.label.weight"]
    wanted = torch.nn.functional.normalize(first_stage["heads.label.weight"], dim=1)
    torch.testing.assert_close(weight, wanted)
    best = load_checkpoint(run / "checkpoints" / "best.pt")
    assert best["progress"]["stage"] == 1
    norms = best["model"]["heads.label.weight"].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(4))
    rows = epochs_of(run)
    assert [row["epoch"] for row in rows] == ["1", "1"]
    assert [bool(row["train/loss"]) for row in rows] == [True, False]
    before = model_of(run)
    train(recipe, run, resume=last_checkpoint(run), quiet=True)
    assert differs(before, model_of(run)) == 0


def test_a_first_stage_of_no_epochs_starts_from_weights_that_are_there(
    base: Recipe, tmp_path: Path
) -> None:
    one = train(base, tmp_path / "one", quiet=True)
    both = train(longtail.tau_normalised(base), tmp_path / "both", quiet=True)
    first, second = longtail.tau_normalised(base).stages
    later = replace(
        base,
        stages=(replace(first, epochs=0), second),
        weights=str(one / "checkpoints" / "last.pt"),
    )
    run = train(later, tmp_path / "later", quiet=True)
    assert differs(model_of(both), model_of(run)) == 0
