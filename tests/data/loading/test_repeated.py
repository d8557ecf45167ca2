"""Repeated augmentation: as many draws, fewer clips, copies together and never side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.data.loading.mixing import Mixed
from marey.data.loading.repeated import Repeated
from marey.data.loading.samplers import ClassBalanced, EpochSampler, InstanceBalanced
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint
from marey.recipes.catalog import find
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, override, to_yaml
from tests.engine.train.test_resume import at_step, go_on, kill
from tests.engine.train.test_train import with_stage
from tests.tiny import tiny_recipe, write_set


@given(
    n=st.integers(1, 60), repeats=st.integers(1, 5), seed=st.integers(0, 9), epoch=st.integers(0, 3)
)
def test_an_epoch_keeps_its_length_and_has_the_first_clips_so_many_times(
    n: int, repeats: int, seed: int, epoch: int
) -> None:
    labels = np.zeros(n, np.int64)
    rows = Repeated(repeats).epoch_rows(labels, None, seed=seed, epoch=epoch)
    drawn = InstanceBalanced().epoch_rows(labels, None, seed=seed, epoch=epoch)
    assert len(rows) == n
    found, counts = np.unique(rows, return_counts=True)
    assert sorted(found) == sorted(drawn[: -(-n // repeats)])
    assert counts.max() <= repeats
    assert (counts < repeats).sum() <= 2  # those whose copies the end cuts off
    if repeats == 1:
        assert np.array_equal(rows, drawn)


@given(n=st.integers(4, 60), repeats=st.integers(2, 5))
def test_no_clip_stands_beside_itself_but_one_that_is_left_over(n: int, repeats: int) -> None:
    rows = Repeated(repeats).epoch_rows(np.zeros(n, np.int64), None, seed=0, epoch=0)
    beside = rows[:-1] == rows[1:]
    assert not beside[: max(0, n - repeats)].any()


def test_two_processes_take_what_one_takes_each_copy_by_its_own_seed() -> None:
    rows = Repeated(2).epoch_rows(np.zeros(24, np.int64), None, seed=0, epoch=0)

    def keys(rank: int, world_size: int, batch_size: int) -> list[list[tuple[int, int]]]:
        return list(
            EpochSampler(rows, batch_size, seed=0, epoch=0, rank=rank, world_size=world_size)
        )

    one = keys(0, 1, 8)
    assert [a + b for a, b in zip(keys(0, 2, 4), keys(1, 2, 4), strict=True)] == one
    for step in one:  # all copies in one step, each changed otherwise
        assert set(np.unique([row for row, _ in step], return_counts=True)[1]) == {2}
        assert len({seed for _, seed in step}) == len(step)


def test_it_repeats_what_any_sampler_draws() -> None:
    labels = np.array([0] * 9 + [1])
    rows = Repeated(2, ClassBalanced("verb")).epoch_rows(labels, None, seed=0, epoch=0)
    drawn = ClassBalanced().epoch_rows(labels, None, seed=0, epoch=0)
    assert sorted(rows) == sorted([*drawn[:5], *drawn[:5]])
    assert Repeated(2, ClassBalanced("verb")).head == "verb"
    mixed = Mixed((("a", 1.0),), Repeated(3))
    recipe = override(find("tsm-r18"), ["stages.0.sampler=Repeated", "stages.0.sampler.repeats=4"])
    assert recipe.stages[0].sampler == Repeated(4)
    recipe = with_stage(recipe, sampler=mixed)
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    with pytest.raises(ValueError, match="repeats is 0"):
        Repeated(0)


def test_a_run_stopped_within_an_epoch_ends_with_the_same_bits(tmp_path: Path) -> None:
    recipe = with_stage(tiny_recipe(write_set(tmp_path / "clips"), epochs=1), sampler=Repeated(2))
    recipe = replace(recipe, augment=replace(recipe.augment, cutmix=1.0, mixup=0.2, blur=0.5))
    whole = train(recipe, tmp_path / "whole", quiet=True)
    found = go_on(kill(recipe, tmp_path / "run", after_save=at_step(2)), recipe)
    expected = load_checkpoint(whole / "checkpoints" / "last.pt")
    assert all(torch.equal(found["model"][k], v) for k, v in expected["model"].items())
