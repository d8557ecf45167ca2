"""Precise batch norm: the statistics of all values of the batches, the model else as it was."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from marey.engine.train.loop import train
from marey.engine.train.precise_bn import measured, take
from marey.engine.weights.checkpoint import load_checkpoint
from marey.errors import RecipeError
from marey.models import ResNetSpec
from marey.models.layers import norms_that_learn
from marey.models.video_model import ModelSpec, VideoModel
from marey.recipes.optim import SGD
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override
from tests.engine.train.test_resume import at_step, go_on, kill
from tests.engine.train.test_train import model_of, with_stage
from tests.tiny import tiny_recipe, write_set

SMALL = ModelSpec(ResNetSpec(18, channels=2), num_segments=2)


def small(*, partial_bn: bool = False) -> VideoModel:
    torch.manual_seed(0)
    return replace(SMALL, partial_bn=partial_bn).build().train()


def batches() -> list[Tensor]:
    """Of different numbers of clips, as where some cannot be read."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, 2, 3, 40, 40, generator=generator) * n for n in (4, 3, 5)]


def test_statistics_are_those_of_all_values_together() -> None:
    model, plain = small(), small()
    given: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms_that_learn(plain)}
    for norm, values in given.items():
        norm.register_forward_pre_hook(lambda _, x, values=values: values.append(x[0]))
    with torch.no_grad():
        for clip in batches():
            plain.features(clip)
    take(model, [measured(model, batches())])
    for norm, values in zip(norms_that_learn(model), given.values(), strict=True):
        var, mean = torch.var_mean(torch.cat(values).double(), (0, 2, 3), correction=0)
        torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var.double(), var, rtol=1e-4, atol=1e-5)


def test_measuring_leaves_the_model_as_it_is_and_frozen_norms_too() -> None:
    model = small(partial_bn=True)
    before = deepcopy(model.state_dict())
    sums = measured(model, batches())
    assert len(sums) == 1  # the first, which alone learns
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())
    take(model, [sums])
    changed = {k for k, v in before.items() if not torch.equal(model.state_dict()[k], v)}
    assert changed == {"encoder.bn1.running_mean", "encoder.bn1.running_var"}


def test_sums_of_processes_are_those_of_one() -> None:
    one, two = small(), small()
    take(one, [measured(one, batches())])
    take(two, [measured(two, batches()[:1]), measured(two, batches()[1:])])
    for ours, theirs in zip(norms_that_learn(one), norms_that_learn(two), strict=True):
        torch.testing.assert_close(ours.running_var, theirs.running_var)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    tiny = tiny_recipe(write_set(tmp_path_factory.mktemp("clips")), epochs=2)
    return replace(tiny, model=replace(tiny.model, encoder=SMALL.encoder), precise_bn=3)


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


def test_weights_learn_as_without_and_the_statistics_are_others(
    recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    plain = train(replace(recipe, precise_bn=None), tmp_path / "plain", quiet=True)
    ours, theirs = model_of(whole), model_of(plain)
    differing = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert differing
    assert all("running_" in name for name in differing)


@pytest.mark.parametrize(("step", "ema"), [(6, None), (8, 0.9)])
def test_a_run_stopped_anywhere_ends_with_the_same_bits(
    recipe: Recipe, whole: Path, tmp_path: Path, step: int, ema: float | None
) -> None:
    asked = replace(recipe, ema=ema)
    if ema is not None:
        whole = train(asked, tmp_path / "whole", quiet=True)
    found = go_on(kill(asked, tmp_path / "run", after_save=at_step(step)), asked)
    expected = load_checkpoint(whole / "checkpoints" / "last.pt")
    for part in ("model", "ema") if ema else ("model",):
        assert all(torch.equal(found[part][k], v) for k, v in expected[part].items())


def test_a_model_without_norms_that_learn_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    without = replace(tiny_recipe(Path(recipe.data.train)), precise_bn=3)
    with pytest.raises(RecipeError, match=r"no batch norm of the model learns.*precise_bn= leaves"):
        train(without, tmp_path / "run", quiet=True)
    with pytest.raises(RecipeError, match="no batch norm of the model learns"):
        train(with_stage(recipe, trainable="heads"), tmp_path / "run", quiet=True)
    with pytest.raises(RecipeError, match="shard is true, of a recipe that has precise_bn=3"):
        override(recipe, ["shard=true"])


def test_of_a_stage_of_few_steps_as_many_batches_are_measured(
    recipe: Recipe, tmp_path: Path
) -> None:
    """Those that were asked, of the epoch that `max_steps` ends."""
    one = with_stage(recipe, max_steps=1, optim=SGD(lr=0.0, groups="plain", head_lr5=False))
    found = {
        number: model_of(train(replace(one, precise_bn=number), tmp_path / f"{number}", quiet=True))
        for number in (1, 3, 4, 9)
    }
    key = "encoder.bn1.running_mean"
    assert not torch.equal(found[1][key], found[3][key])
    assert not torch.equal(found[3][key], found[4][key])
    assert torch.equal(found[4][key], found[9][key])  # an epoch has four
