"""Any recipe with any objective, sampler or second stage, by one override or one word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from marey.data.loading.samplers import ClassBalanced, InstanceBalanced
from marey.engine.train.optim import build_optimizer
from marey.errors import RecipeError
from marey.longtail.class_balanced import ClassBalancedLoss, Focal
from marey.longtail.decouple import set_trainable
from marey.longtail.ldam import LDAM
from marey.longtail.lmr import LMR
from marey.longtail.lmr_several import SigmoidLMR
from marey.longtail.logit_adjustment import BalancedSoftmax, LogitAdjustment
from marey.longtail.objective import CrossEntropy, LossModule, Objective
from marey.longtail.sigmoid import BinaryCrossEntropy, SigmoidClassBalanced, SigmoidLDAM
from marey.models.video_model import Head, ModelSpec
from marey.recipes import longtail
from marey.recipes.catalog import find, groups
from marey.recipes.names import classes_for
from marey.recipes.recipe import Recipe, Stage
from marey.recipes.schema import from_yaml, override, to_yaml
from marey.types import Labels
from marey.video.augment import Augment, augment
from tests.tiny import TinySpec

NAMES = sorted(classes_for(Objective))
ONE_OF_EACH_FILE = [next(iter(rows.values())) for rows in groups().values()]
HEADS = (Head("verb", 5), Head("noun", 3))
COUNTS = {"verb": torch.tensor([900, 60, 21, 20, 0]), "noun": torch.tensor([900, 100, 1])}


def takes(recipe: Recipe, name: str) -> None:
    changed = override(recipe, [f"stages.0.objective={name}"])
    assert type(changed.stages[0].objective).__name__ == name
    assert from_yaml(Recipe, to_yaml(changed)) == changed


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_takes_any_objective_by_one_override(name: str) -> None:
    takes(find("tsm-r18"), name)


@pytest.mark.parametrize("recipe", ONE_OF_EACH_FILE, ids=lambda r: r.name)
def test_an_objective_goes_into_any_recipe_by_one_override(recipe: Recipe) -> None:
    takes(recipe, "BalancedSoftmax")


def clip_and_labels(plan: Augment, seed: int) -> tuple[torch.Tensor, Labels]:
    rng = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (4, 2, 3, 16, 16), generator=rng, dtype=torch.uint8)
    labels = {"verb": torch.tensor([0, 0, 1, 3]), "noun": torch.tensor([0, 2, 1, 0])}
    sizes = {head.name: head.num_classes for head in HEADS}
    return augment(pixels, labels, plan, np.arange(4), num_classes=sizes)


@pytest.mark.parametrize("mixup", [0.0, 0.2])
@pytest.mark.parametrize("name", NAMES)
def test_a_step_with_any_objective_moves_every_head_with_mixup_too(name: str, mixup: float) -> None:
    stage = override(Stage(), [f"objective={name}", "optim={SGD: {lr: 0.1, groups: plain}}"])
    torch.manual_seed(0)
    model = ModelSpec(TinySpec(), num_segments=2, heads=HEADS).build().train()
    set_trainable(model, stage.trainable)
    loss = LossModule(model, stage.objective.build(COUNTS))
    before = {name: value.clone() for name, value in model.named_parameters()}
    value = loss(*clip_and_labels(Augment(mixup=mixup), seed=1))
    value.backward()
    build_optimizer(model, stage.optim).step()
    assert value.dtype == torch.float32
    assert value.ndim == 0
    assert value > 0
    for key, parameter in model.named_parameters():
        assert parameter.isfinite().all(), key
        if key.startswith("heads."):
            assert not torch.equal(parameter, before[key]), key


def gains_a_stage(recipe: Recipe, word: str) -> None:
    found = find(f"{recipe.name}+{word}")
    assert found == longtail.SECOND_STAGES[word](recipe)
    assert found.name == f"{recipe.name}+{word}"
    assert found.stages[:-1] == recipe.stages
    assert found.claim is None
    assert from_yaml(Recipe, to_yaml(found)) == found


@pytest.mark.parametrize("word", longtail.SECOND_STAGES)
def test_a_plus_and_a_word_add_a_second_stage(word: str) -> None:
    gains_a_stage(find("tsm-r18"), word)


@pytest.mark.parametrize("recipe", ONE_OF_EACH_FILE, ids=lambda r: r.name)
def test_any_recipe_may_have_another_stage(recipe: Recipe) -> None:
    gains_a_stage(recipe, "crt")


def test_an_encoder_that_has_learned_its_features_is_not_tuned() -> None:
    with pytest.raises(RecipeError, match="features-linear takes features, whose encoder stays"):
        find("features-linear+lora")
    with pytest.raises(RecipeError, match=r"stages\.0\.last_blocks is 1, but the model takes feat"):
        override(find("features-linear"), ["stages.0.last_blocks=1"])


def test_second_stages_follow_each_other_and_inherit_no_change_of_heads() -> None:
    *_, reset, scaled, normed, slow = find("tsm-r18+crt+lws+tau+drw").stages
    assert reset.reset_heads
    assert (scaled.trainable, scaled.reset_heads) == ("scales", False)
    assert (normed.epochs, normed.reset_heads) == (0, False)
    assert (slow.normalize_heads, slow.reset_heads) == (None, False)
    assert reset.sampler == ClassBalanced()


@pytest.mark.parametrize("before", ["crt", "lws", "tau", "crt+tau"])
def test_after_a_stage_of_heads_alone_everything_goes_on_as_without_it(before: str) -> None:
    for word in ("lmr", "drw"):
        assert find(f"tsm-r18+{before}+{word}").stages[-1] == find(f"tsm-r18+{word}").stages[-1]


def test_the_word_longtail_adjusts_the_cross_entropy_of_clips_as_they_come() -> None:
    base = override(find("tsm-r18"), ["stages.0.objective.label_smoothing=0.1"])
    found = longtail.longtail(base)
    assert found == replace(
        base,
        name="tsm-r18+longtail",
        stages=(replace(base.stages[0], objective=LogitAdjustment(1.25, 0.1)),),
        claim=None,
    )
    assert find("tsm-r18+frozen+longtail").stages[0].objective == LogitAdjustment(1.25)
    assert find("tsm-r18+crt+longtail").stages == (
        find("tsm-r18+longtail").stages[0],
        find("tsm-r18+crt").stages[1],
    )


def test_copies_of_clips_as_they_come_are_adjusted_too() -> None:
    base = override(find("tsm-r18"), ["stages.0.sampler=Repeated"])
    assert longtail.longtail(base).stages[0].objective == LogitAdjustment(1.25)
    alike = override(base, ["stages.0.sampler.sampler=ClassBalanced"])
    with pytest.raises(RecipeError, match="tsm-r18 has none"):
        longtail.longtail(alike)


@pytest.mark.parametrize("loss", ["BinaryCrossEntropy", "SigmoidLDAM", "FrameStack"])
def test_lmr_after_a_loss_for_several_classes_is_that_for_several(loss: str) -> None:
    base = override(find("tsm-r18"), [f"stages.0.objective={loss}"])
    assert longtail.lmr(base).stages[1].objective == SigmoidLMR()
    assert find("videolt-bce-r101+lmr").stages[1].objective == SigmoidLMR()
    assert longtail.lmr(base, LMR(l=0.3)).stages[1].objective == LMR(l=0.3)


@pytest.mark.parametrize("word", ["crt", "lws"])
def test_classes_drawn_alike_are_not_adjusted_once_more(word: str) -> None:
    assert find(f"tsm-r18+longtail+{word}").stages[1] == find(f"tsm-r18+{word}").stages[1]


def test_what_has_no_cross_entropy_to_adjust_is_refused() -> None:
    several = override(find("tsm-r18"), ["stages.0.objective=BinaryCrossEntropy"])
    alike = override(find("tsm-r18"), ["stages.0.sampler=ClassBalanced"])
    for recipe, losses in ((several, "BinaryCrossEntropy"), (alike, "CrossEntropy")):
        with pytest.raises(RecipeError, match=f"tsm-r18 has none: it learns by {losses}"):
            longtail.longtail(recipe)


def test_an_unknown_word_suggests_the_nearest() -> None:
    with pytest.raises(RecipeError, match="no change 'crtt' of a recipe.*did you mean 'crt'"):
        find("tsm-r18+crtt")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CrossEntropy(0.1), ClassBalancedLoss(0.9999, 0.1)),
        (LDAM(max_margin=0.3), LDAM(max_margin=0.3, beta=0.9999)),
        (Focal(), Focal(beta=0.9999)),
        (BinaryCrossEntropy(), SigmoidClassBalanced()),
        (SigmoidLDAM(), SigmoidLDAM(beta=0.9999)),
    ],
)
def test_deferred_reweighting_keeps_the_loss_and_weighs_its_classes(
    first: Objective, second: Objective
) -> None:
    base = find("tsm-r18")
    (stage,) = base.stages
    later = longtail.deferred(replace(base, stages=(replace(stage, objective=first),))).stages[1]
    assert later.objective == second
    assert later.optim.lr == stage.optim.lr / 100
    assert later.trainable == "all"
    assert later.sampler == InstanceBalanced()


def test_deferred_reweighting_of_a_loss_without_weights_is_refused() -> None:
    base = find("tsm-r18")
    balanced = replace(base, stages=(replace(base.stages[0], objective=BalancedSoftmax()),))
    with pytest.raises(RecipeError, match="BalancedSoftmax has no form with class weights"):
        longtail.deferred(balanced)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("stages.0.epochs=-1", "epochs is -1, expected at least 0"),
        ("stages.0.normalize_heads=-0.5", "normalize_heads is -0.5, expected at least 0"),
        ("stages.0.trainable=head", "stages.0.trainable is 'head'"),
        ("stages.0.objective=BalancedSoftmx", "did you mean 'BalancedSoftmax'"),
        ("stages.0.objective={LDAM: {max_margin: -1}}", "max_margin is -1.0"),
    ],
)
def test_a_stage_that_cannot_be_names_the_place(assignment: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        override(find("tsm-r18"), [assignment])


def test_changes_of_pixels_are_refused_in_a_recipe_for_features() -> None:
    assert override(find("features-mlp"), ["augment.mixup=0.2"]).augment.mixup == 0.2
    for change in ("flip=plain", "brightness=0.4", "randaugment={}"):
        with pytest.raises(RecipeError, match="augment changes pixels, but the model takes feat"):
            override(find("features-mlp"), [f"augment.{change}"])
