from __future__ import annotations

import pytest
import torch

from marey.data.loading.samplers import ClassBalanced, InstanceBalanced
from marey.engine.train.optim import build_optimizer
from marey.engine.weights.imagenet import official_for
from marey.longtail.lmr import LMR
from marey.recipes.catalog import find
from marey.recipes.lmr import EPIC_100_VERBS, SSV2_LT
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, override, to_yaml

ROWS = pytest.mark.parametrize("recipe", [EPIC_100_VERBS, SSV2_LT], ids=lambda r: r.name)


@ROWS
def test_the_second_stage_is_balanced_with_new_heads_at_a_tenth_of_the_rate(recipe: Recipe) -> None:
    first, second = recipe.stages
    assert first.sampler == InstanceBalanced()
    assert second.sampler == ClassBalanced()
    assert (first.reset_heads, second.reset_heads) == (False, True)
    assert (first.trainable, second.trainable) == ("all", "all")
    assert (first.optim.lr, second.optim.lr) == pytest.approx((1e-4, 1e-5))
    assert recipe.batch_size * 8 == recipe.lr_batch_size == 56


@pytest.mark.parametrize(
    ("recipe", "wanted"),
    [(EPIC_100_VERBS, (1.0, 0.01, 0.15, 1.0)), (SSV2_LT, (0.6, 0.001, 0.25, 0.5))],
    ids=lambda value: value.name if isinstance(value, Recipe) else "",
)
def test_rows_have_the_published_hyper_parameters(
    recipe: Recipe, wanted: tuple[float, ...]
) -> None:
    objective = recipe.stages[1].objective
    assert isinstance(objective, LMR)
    assert (objective.l, objective.h, objective.d, objective.mix) == wanted
    assert (objective.few, objective.bank, objective.variant) == (20, 8, "released")


@ROWS
def test_a_row_has_weights_to_start_from_and_decays_all_parameters(recipe: Recipe) -> None:
    assert official_for(recipe.model.encoder).file.startswith("jx_vit_base_p16_224-")
    with torch.device("meta"):
        model = recipe.model.build()
    (group,) = build_optimizer(model, recipe.stages[0].optim).param_groups
    assert group["weight_decay"] == 0.05
    assert len(group["params"]) == len(list(model.parameters()))


def test_any_recipe_may_be_followed_by_lmr() -> None:
    recipe = find("tsm-r18+lmr")
    first, second = recipe.stages
    assert first == find("tsm-r18").stages[0]
    assert second.objective == LMR()
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe


def test_one_override_puts_lmr_into_any_stage_and_another_changes_its_variant() -> None:
    recipe = override(find("tsm-r18"), ["stages.0.objective=LMR"])
    assert recipe.stages[0].objective == LMR()
    recipe = override(SSV2_LT, ["stages.1.objective.variant=paper"])
    assert recipe.stages[1].objective == LMR(variant="paper")
