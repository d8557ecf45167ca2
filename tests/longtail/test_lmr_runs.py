"""LMR in whole runs: resumed, and on two processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.data.loading.samplers import ClassBalanced
from marey.engine.train import loop as training
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import last_checkpoint, save_checkpoint
from marey.longtail.lmr import LMR
from marey.recipes.recipe import Recipe
from tests.engine.train.test_train import differs, model_of, state_of, without_dropout
from tests.tiny import tiny_recipe, write_set
from tests.two_processes import free_port, printed_by, start_two


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"))


def lmr_recipe(manifest: Path, *, batch_size: int = 4, gather: bool = False) -> Recipe:
    """Two stages of an epoch; the classes have 4 clips each, of which half is rebuilt."""
    recipe = tiny_recipe(manifest, epochs=1, batch_size=batch_size)
    first = recipe.stages[0]
    objective = LMR(l=0.5, h=0.5, few=0, bank=3, mix=1.0, gather=gather)
    second = replace(first, sampler=ClassBalanced(), objective=objective, reset_heads=True)
    return replace(recipe, stages=(first, second))


@contextmanager
def killed_at(global_step: int) -> Iterator[None]:
    """All processes die at that step, once the main one has saved."""

    def save(self: training.Training, *, keep: bool = False) -> None:
        real(self, keep=keep)
        if self.at.global_step == global_step:
            self.world.wait()
            raise KeyboardInterrupt

    real, training.Training.save = training.Training.save, save  # type: ignore[method-assign]
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        training.Training.save = real  # type: ignore[method-assign]


def run_halved(recipe: Recipe, folder: Path, at: int) -> Path:
    with killed_at(at):
        train(recipe, folder, save_steps=1, quiet=True)
    return train(recipe, folder, resume=last_checkpoint(folder), quiet=True)


def test_a_resumed_run_ends_with_the_same_bits(manifest: Path, tmp_path: Path) -> None:
    recipe = lmr_recipe(manifest)
    whole = train(recipe, tmp_path / "whole", quiet=True)
    halved = run_halved(recipe, tmp_path / "halved", at=6)  # two batches into the bank
    assert differs(model_of(whole), model_of(halved)) == 0
    banks = [state_of(run)["objective"]["bank._extra_state"] for run in (whole, halved)]
    assert [len(bank) for bank in banks] == [3, 3]
    assert all(
        torch.equal(*parts) for a, b in zip(*banks, strict=True) for parts in zip(a, b, strict=True)
    )


def test_the_bank_matters_to_that_test(manifest: Path, tmp_path: Path) -> None:
    def forgetful(path: Path, state: dict[str, object]) -> None:
        save_checkpoint(path, state | {"objective": {"bank._extra_state": []}})

    recipe = lmr_recipe(manifest)
    whole = train(recipe, tmp_path / "whole", quiet=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "save_checkpoint", forgetful)
        halved = run_halved(recipe, tmp_path / "halved", at=6)
    assert differs(model_of(whole), model_of(halved)) > 0


WORKER = """
import os, sys
from pathlib import Path
from marey.engine.train.loop import train
from tests.engine.train.test_train import without_dropout
from tests.longtail.test_lmr_runs import killed_at, last_checkpoint, lmr_recipe
manifest, out = map(Path, sys.argv[1:3])
ports = iter(sys.argv[3:])
def run(recipe, name, **options):
    os.environ["MASTER_PORT"] = next(ports)
    train(recipe, out / name, quiet=True, **options)
run(without_dropout(lmr_recipe(manifest, batch_size=2, gather=True)), "joint")
apart = lmr_recipe(manifest, batch_size=2)
run(apart, "apart")
with killed_at(6):
    run(apart, "halved", save_steps=1)
run(apart, "halved", resume=last_checkpoint(out / "halved"))
"""


@pytest.mark.timeout(1800)
def test_two_processes_gathered_equal_one_and_apart_resume_to_the_same_bits(
    manifest: Path, tmp_path: Path
) -> None:
    one = train(without_dropout(lmr_recipe(manifest)), tmp_path / "one", quiet=True)
    ports = [free_port() for _ in range(4)]
    printed_by(start_two(WORKER, manifest, tmp_path, *ports))
    joint, apart, halved = (model_of(tmp_path / name) for name in ("joint", "apart", "halved"))
    assert differs(model_of(one), joint) < 1e-6
    assert differs(apart, halved) == 0
    assert differs(apart, joint) > 1e-4
