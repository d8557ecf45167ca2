"""A number that makes no sense is refused under its name, in whatever field of a recipe it is."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

import pytest

from marey.errors import RecipeError
from marey.models.encoders.resnet import ResNetSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.catalog import find
from marey.recipes.names import classes_for, is_dataclass, is_protocol
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_plain, override, to_plain
from marey.types import check_numbers

MAY_BE_NEGATIVE = {
    "LogitAdjustment.tau": "it takes the prior away instead of adding it",
    "Augment.mean": "of pixels that are centred in another way",
    "RGBDifferenceSpec.mean": "likewise",
    "Claim.params_millions": "a claim is compared with, not computed with",
    "Claim.gmacs_per_view": "",
    "Claim.top1": "",
    "Claim.top5": "",
    "Claim.mean_ap": "",
}


def classes_below(cls: type, found: set[type]) -> set[type]:
    """Every class of marey that may stand in a field of `cls`, or in theirs."""
    if cls not in found:
        found.add(cls)
        for hint in get_type_hints(cls).values():
            for part in parts_of(hint):
                if is_protocol(part):
                    for named in classes_for(part).values():
                        classes_below(named, found)
                elif is_dataclass(part):
                    classes_below(part, found)
    return found


def parts_of(hint: Any) -> list[Any]:
    """The types in a hint: those of unions and tuples."""
    return [part for arg in get_args(hint) for part in parts_of(arg)] or [hint]


def numeric_fields() -> list[Any]:
    """(class, field, whether it is whole, whether it is a tuple) of all that a recipe may name."""
    found = []
    for cls in sorted(classes_below(Recipe, set()), key=lambda cls: cls.__name__):
        if instance(cls) is None:
            continue
        for name, hint in get_type_hints(cls).items():
            numbers = {part for part in parts_of(hint) if part not in (type(None), ...)}
            is_field = any(f.name == name and f.init for f in dataclasses.fields(cls))
            if is_field and numbers in ({int}, {float}):
                is_tuple = "tuple[" in str(hint) and "int |" not in str(hint)
                is_pairs = "tuple[tuple" in str(hint)
                if not is_pairs:
                    case = (cls, name, numbers == {int}, is_tuple)
                    found.append(pytest.param(*case, id=f"{cls.__name__}.{name}"))
    return found


def instance(cls: type) -> Any:
    """One of the class, with defaults where it has them; None if it needs more than numbers."""
    if cls is Head:
        return Head("label", 3)
    if cls is ModelSpec:
        return ModelSpec(ResNetSpec(18))
    if cls is Recipe:
        return find("tsm-r18")
    try:
        return cls()
    except TypeError:
        return None


def assigned(cls: type, field: str, value: object, *, is_tuple: bool) -> Any:
    plain = to_plain(instance(cls))
    if is_tuple:
        value = [value] * max(len(plain[field] or ()), 1)
    return from_plain(cls, plain | {field: value})


@pytest.mark.parametrize(("cls", "field", "is_whole", "is_tuple"), numeric_fields())
def test_a_number_out_of_range_is_refused_by_name(
    cls: type, field: str, is_whole: bool, is_tuple: bool
) -> None:
    wrong: list[object] = [1.5, 1 << 63] if is_whole else [float("nan"), float("inf"), "-inf"]
    wrong += [] if f"{cls.__name__}.{field}" in MAY_BE_NEGATIVE else [-1]
    for value in wrong:
        with pytest.raises(RecipeError, match=field):
            assigned(cls, field, value, is_tuple=is_tuple)


def test_there_are_fields_to_refuse() -> None:
    assert len(numeric_fields()) > 80


@pytest.mark.parametrize(
    ("assignment", "fault"),
    [
        ("stages.0.optim.lr=-1", "lr is -1.0, expected at least 0"),
        ("stages.0.optim.momentum=1", "momentum is 1.0, expected 0 <= momentum < 1"),
        ("stages.0.optim={SGD: {momentum: 0, nesterov: true}}", "nesterov looks ahead"),
        ("stages.0.optim={AdamW: {betas: [0.9, 3]}}", "betas is 3.0, expected 0 <= betas < 1"),
        ("stages.0.objective.label_smoothing=5", "label_smoothing is 5.0, expected 0 to 1"),
        ("ema=5", "ema is 5.0, expected 0 <= ema < 1"),
        ("clip_grad=0", "clip_grad is 0.0, expected more than 0"),
        ("lr_batch_size=0", "lr_batch_size is 0, expected at least 1"),
        ("data.bad_clip_budget=2", "bad_clip_budget is 2.0, expected 0 to 1"),
        ("seed=1180591620717411303424", "seed is 1180591620717411303424, expected a whole number"),
        ("augment.std=[1, 1]", "mean has 3 values and std 2"),
        ("augment.std=[0, 1, 1]", "std is 0.0, expected more than 0"),
        ("augment={mean: [0.5, 0.5], std: [1, 1]}", "augment.mean has 2 values"),
        ("stages=[]", "stages is empty"),
    ],
)
def test_what_training_could_not_use_is_refused(assignment: str, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        override(find("tsm-r18"), [assignment])


def test_bounds_are_told_in_words() -> None:
    check_numbers(at_least=0, at_most=1, share=1, other=None)
    for bounds, words in (
        ({"at_least": 0}, "at least 0"),
        ({"above": 0}, "more than 0"),
        ({"at_least": 0, "at_most": 1}, "0 to 1"),
        ({"above": 0, "at_most": 1}, "0 < x <= 1"),
        ({"at_least": 0, "below": 1}, "0 <= x < 1"),
        ({}, "a finite number"),
    ):
        with pytest.raises(ValueError, match=f"x is nan, expected {words}$"):
            check_numbers(**bounds, x=float("nan"))
