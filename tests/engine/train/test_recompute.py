"""A run that computes norms and ReLUs again rather than keep what they made."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint
from marey.models import ModelSpec, ResNetSpec
from marey.models.recomputing import recomputed
from tests.engine.train.test_resume import at_step, go_on, kill, last
from tests.tiny import tiny_recipe, write_set


def test_it_ends_with_the_same_bits_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uses: list[int] = []

    def counted() -> AbstractContextManager[None]:
        uses.append(1)
        return recomputed()

    monkeypatch.setattr("marey.engine.train.learner.recomputed", counted)
    small = tiny_recipe(write_set(tmp_path / "clips", per_class=2, val_per_class=1))
    model = ModelSpec(ResNetSpec(18, channels=4), num_segments=2, heads=())
    recipe = replace(small, model=model, recompute=True)
    whole = load_checkpoint(last(train(recipe, tmp_path / "whole", quiet=True)))["model"]
    assert uses
    run = kill(recipe, tmp_path / "killed", after_save=at_step(1))
    resumed = go_on(run, recipe)["model"]
    assert list(resumed) == list(whole)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
