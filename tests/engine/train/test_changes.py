"""Every place of a recipe may change in a run that goes on, or says why not."""

from __future__ import annotations

import pytest

from marey.engine.train.changes import TABLE, Change, changes
from marey.errors import RecipeError
from marey.recipes.catalog import find, rows
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override, to_plain


def places(value: object, where: str = "") -> set[str]:
    """The leaves of plain data, without the names of classes."""
    if isinstance(value, dict) and value:
        names = (where if key[:1].isupper() else f"{where}.{key}" for key in value)
        pairs = zip(names, value.values(), strict=True)
        return set().union(*(places(each, name.lstrip(".")) for name, each in pairs))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return set().union(*(places(each, f"{where}.{i}") for i, each in enumerate(value)))
    return {where}


def test_the_table_knows_every_place_of_every_recipe() -> None:
    leaves = set().union(*(places(to_plain(recipe)) for recipe in rows().values()))
    unknown = [
        leaf
        for leaf in leaves
        if not any(Change(leaf, 0, 1).touches(patterns) for patterns, _ in TABLE)
    ]
    assert unknown == []


def found(now: Recipe, before: str = "tsm-r18", stage: int = 0, epoch: int = 3) -> list[str]:
    return [str(each) for each in changes(find(before), now, stage=stage, epoch=epoch, hint="")]


def test_what_may_change_is_named() -> None:
    recipe = find("tsm-r18")
    assert found(recipe) == []
    changed = override(recipe, ["stages.0.optim.lr=0.5", "stages.0.schedule=StepDecay", "amp=true"])
    lr = to_plain(recipe)["stages"][0]["optim"]["SGD"]["lr"]
    schedule = next(iter(to_plain(recipe)["stages"][0]["schedule"]))
    assert found(changed) == [
        f"stages.0.optim.lr {lr} -> 0.5",
        *([] if schedule == "StepDecay" else [f"stages.0.schedule {schedule} -> StepDecay"]),
        "amp auto -> True",
    ]


def test_all_that_may_not_is_named_at_once() -> None:
    changed = override(find("tsm-r18"), ["seed=4", "model.partial_bn=true"])
    with pytest.raises(RecipeError, match=r"cannot change model\.partial_bn .*; nor seed 0 -> 4"):
        found(changed)


def test_stages_to_come_may_be_anything_and_those_that_are_over_stay() -> None:
    two = find("tsm-r18+crt")
    second = ["stages.1.optim={AdamW: {}}", "stages.1.epochs=3"]
    assert found(override(two, second), "tsm-r18+crt") == []
    assert found(two) == ["name tsm-r18 -> tsm-r18+crt"]
    with pytest.raises(RecipeError, match="the recipe has 1 stage, the run is in stage 1"):
        found(find("tsm-r18"), "tsm-r18+crt", stage=1)
    with pytest.raises(RecipeError, match=r"stages\.0\.optim\.lr .*: this stage is over"):
        found(override(two, ["stages.0.optim.lr=0.5"]), "tsm-r18+crt", stage=1)


def test_a_stage_ends_no_earlier_than_the_epoch_that_is_begun() -> None:
    recipe = find("tsm-r18")
    assert found(override(recipe, ["stages.0.epochs=3"]))
    with pytest.raises(RecipeError, match=r"stages\.0\.epochs is 2, the run has begun epoch 3"):
        found(override(recipe, ["stages.0.epochs=2"]))
