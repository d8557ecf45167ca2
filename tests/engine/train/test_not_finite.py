from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from marey.engine.train import loop as training
from marey.engine.train.not_finite import first_not_finite
from marey.engine.weights.checkpoint import load_checkpoint
from marey.errors import RunError
from marey.longtail.lmr import LMR
from marey.longtail.objective import CrossEntropy
from marey.models.video_model import Head, ModelSpec, VideoModel
from tests.tiny import TinySpec, tiny_recipe, write_set

COUNTS = {"verb": torch.tensor([30, 300]), "noun": torch.tensor([30, 300, 3])}
LABELS = {"verb": torch.tensor([0, 1]), "noun": torch.tensor([2, 0])}
OBJECTIVE = CrossEntropy().build(COUNTS)


def tiny_model() -> VideoModel:
    heads = tuple(Head(name, len(counts)) for name, counts in COUNTS.items())
    return ModelSpec(TinySpec(), num_segments=2, heads=heads).build().eval()


def clips() -> torch.Tensor:
    return torch.rand(2, 2, 3, 16, 16)


def test_a_clip_is_named_before_what_it_spoils() -> None:
    clip = clips()
    clip[1, 0, 0, 0] = torch.nan
    assert first_not_finite(tiny_model(), OBJECTIVE, clip, LABELS) == "the clips"


def test_a_weight_is_named() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.heads["noun"].weight[0, 0] = torch.inf
    found = first_not_finite(model, OBJECTIVE, clips(), LABELS)
    assert found == "the weights heads.noun.weight"


def test_features_and_scores_that_overflow_are_named() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.heads["noun"].weight.fill_(3e38)
        model.encoder.conv2.bias.fill_(100)
    assert first_not_finite(model, OBJECTIVE, clips(), LABELS) == "the scores of 'noun'"
    with torch.no_grad():
        model.encoder.conv1.weight.fill_(3e38)
        model.encoder.conv2.weight.fill_(3e38)
    assert first_not_finite(model, OBJECTIVE, clips(), LABELS) == "the features"


class Infinite(nn.Module):
    def forward(self, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return scores.sum() * torch.inf


def test_a_head_whose_loss_alone_is_infinite_is_named() -> None:
    objective = CrossEntropy().build(COUNTS)
    objective.losses["noun"] = Infinite()
    assert first_not_finite(tiny_model(), objective, clips(), LABELS) == "the loss of 'noun'"


def test_else_it_is_the_objective() -> None:
    objective = LMR().build(COUNTS)
    found = first_not_finite(tiny_model(), objective, clips(), LABELS)
    assert found == "what LMRObjective makes of finite scores"


def test_a_run_stops_with_step_rows_and_term_and_keeps_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(self: training.Training, batch: object) -> object:
        clip, labels = real(self, batch)
        return (clip * torch.nan if self.at.global_step == 5 else clip), labels

    real = training.Training.prepare
    monkeypatch.setattr(training.Training, "prepare", poisoned)
    recipe = tiny_recipe(write_set(tmp_path / "clips"))
    recipe = replace(recipe, stages=(replace(recipe.stages[0], objective=LMR(few=0)),))
    clips = rf"{re.escape(str(tmp_path))}\S+\.mp4"
    fault = (
        rf"loss is nan at step 5: .* at fault is the clips. Of the clips {clips}(, {clips}){{3}}"
    )
    with pytest.raises(RunError, match=fault):
        training.train(recipe, tmp_path / "run", save_steps=1, quiet=True)
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert state["progress"]["global_step"] == 5
    assert all(value.isfinite().all() for value in state["model"].values())
    bank = state["objective"]["bank._extra_state"]
    assert len(bank) == 5
    assert all(features.isfinite().all() for features, *_ in bank)


def test_a_run_whose_gradients_alone_are_infinite_keeps_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(self: training.Training, batches: object) -> float:
        if self.at.global_step == 5:
            weight = self.model.heads["label"].weight
            weight.register_hook(lambda gradient: gradient * torch.inf)
        return real(self, batches)

    real = training.Training.step
    monkeypatch.setattr(training.Training, "step", poisoned)
    recipe = tiny_recipe(write_set(tmp_path / "clips"))
    with pytest.raises(RunError, match=r"weights \S+ are not finite after step 6"):
        training.train(recipe, tmp_path / "run", save_steps=1, quiet=True)
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert state["progress"]["global_step"] == 5
    assert all(value.isfinite().all() for value in state["model"].values())
