"""What cannot have an effect is refused, and both keys of it are named."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from marey.errors import RecipeError
from marey.recipes.catalog import find, rows
from marey.recipes.compatible import check_has_effect, check_kept
from marey.recipes.frozen import is_frozen
from marey.recipes.schema import override


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("+frozen", ["checkpointing=true"], "checkpointing is true, but .*stages.0.trainable is"),
        ("+frozen", ["recompute=true"], "recompute is true, but .*stages.0.trainable is"),
        (
            "+frozen",
            ["model.partial_bn=true"],
            "model.partial_bn is true, but .*stages.0.train",
        ),
        ("+frozen", ["stages.0.optim.layer_decay=0.7"], "stages.0.optim.layer_decay is 0.7, but"),
        ("+full+crt", ["stages.1.optim.layer_decay=0.5"], "stages.1.* is 0.5, .*stages.1.* heads"),
    ],
)
def test_how_an_encoder_learns_that_does_not_learn_is_refused(
    name: str, changes: Sequence[str], message: str
) -> None:
    recipe = override(find(f"tsn-r18{name}"), changes)
    with pytest.raises(RecipeError, match=message) as refused:
        check_has_effect(recipe)
    key, value = re.findall(r"([\w.]+=\S+) leaves it out", refused.value.hint)[0].split("=")
    check_has_effect(override(recipe, [f"{key}={value}"]))  # the remedy is one


def test_checkpoints_of_more_epochs_than_a_stage_has_are_refused() -> None:
    recipe = override(find("tsn-r18+full"), ["stages.0.epochs=5", "checkpoint_every=6"])
    with pytest.raises(RecipeError, match="checkpoint_every is 6, but no stage has more than 5 ep"):
        check_kept(recipe, [5])
    check_kept(override(recipe, ["checkpoint_every=5"]), [5])
    check_kept(recipe, [5, 6])


def test_a_stage_of_heads_may_keep_the_rates_of_the_stage_before() -> None:
    for name in ("tsn-r18+full+crt", "tsn-r18+full+tau", "tsn-r18+last2+lmr"):
        check_has_effect(find(name))


def test_every_row_may_be_frozen() -> None:
    """Those that are tested by several crops or trained with frozen batch norms as well."""
    for name, row in rows().items():
        if row.model.takes_features:
            continue
        recipe = find(f"{name}+frozen")
        assert is_frozen(recipe)
        assert recipe.train.crop.views == 1
        check_has_effect(recipe)
