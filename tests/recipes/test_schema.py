from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.errors import RecipeError
from marey.models.encoders.attentive_pool import AttentivePoolSpec
from marey.models.lora import LoRA
from marey.models.temporal.tsm import TSM
from marey.recipes.catalog import find, rows
from marey.recipes.optim import SGD, AdamW, Cosine, StepDecay, Warmup
from marey.recipes.recipe import Recipe, Stage
from marey.recipes.schema import from_plain, from_yaml, override, to_plain, to_yaml
from marey.video.crops import MultiScaleCrop, RandomResizedCrop, TenCrop, ThreeCrop
from marey.video.motionformer_crops import UniformCrop


@pytest.mark.parametrize("recipe", rows().values(), ids=lambda r: r.name)
def test_every_recipe_survives_yaml(recipe: Recipe) -> None:
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe


stages = st.builds(
    Stage,
    epochs=st.integers(1, 300),
    optim=st.builds(SGD, lr=st.floats(1e-9, 1e3)) | st.builds(AdamW, lr=st.floats(1e-9, 1e3)),
    schedule=st.builds(StepDecay, milestones=st.lists(st.floats(0, 300)).map(tuple))
    | st.builds(Cosine, final=st.floats(0, 1)),
    warmup=st.builds(Warmup, epochs=st.floats(0, 10)),
)


@given(stages)
def test_a_stage_survives_yaml_to_the_last_bit(stage: Stage) -> None:
    assert from_yaml(Stage, to_yaml(stage)) == stage


def test_a_choice_is_written_by_class_name() -> None:
    assert to_plain(Stage())["optim"] == {"SGD": to_plain(SGD())}


def test_a_bare_class_name_means_its_defaults() -> None:
    assert from_plain(Stage, {"optim": "AdamW"}).optim == AdamW()


def test_numbers_in_scientific_notation_are_numbers() -> None:
    assert from_yaml(SGD, "lr: 1e-3").lr == 1e-3


def test_overrides_reach_into_tuples_and_through_class_names() -> None:
    recipe = override(find("tsm-r18"), ["stages.0.optim.lr=0.5", "model.encoder.depth=34"])
    assert recipe.stages[0].optim.lr == 0.5
    assert recipe.model.encoder.depth == 34


def test_an_override_may_change_the_class() -> None:
    recipe = override(find("tsm-r18"), ["stages.0.optim={AdamW: {lr: 0.1}}", "model.temporal=[]"])
    assert recipe.stages[0].optim == AdamW(lr=0.1)
    assert recipe.model.temporal == ()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("asked", "place", "value"),
    [
        (
            ["stages.0.schedule=Cosine", "stages.0.schedule.per=epoch"],
            "stages.0.schedule",
            Cosine(per="epoch"),
        ),
        (["stages.0.optim=AdamW", "stages.0.optim.lr=0.1"], "stages.0.optim", AdamW(lr=0.1)),
        (
            ["stages.0.optim={AdamW: {lr: 0.1}}", "stages.0.optim.betas=[0.5, 0.6]"],
            "stages.0.optim",
            AdamW(lr=0.1, betas=(0.5, 0.6)),
        ),
        (
            ["model.temporal=[TSM]", "model.temporal.0.place=block_out"],
            "model.temporal.0",
            TSM(place="block_out"),
        ),
        (
            ["model.neck=AttentivePoolSpec", "model.neck.num_heads=4"],
            "model.neck",
            AttentivePoolSpec(num_heads=4),
        ),
        (["model.lora={}", "model.lora.rank=2"], "model.lora", LoRA(rank=2)),
        (["stages=[{}, {}]", "stages.1.epochs=2"], "stages.1.epochs", 2),
        (["train={}", "train.crop.size=64"], "train.crop", MultiScaleCrop(64)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_and_its_parts_go_in_one_command(
    asked: list[str], place: str, value: object, order: int
) -> None:
    found: Any = override(find("tsm-r18"), asked[::order])
    for key in place.split("."):
        found = found[int(key)] if key.isdigit() else getattr(found, key)
    assert found == value


def test_a_part_that_its_whole_would_undo_is_refused() -> None:
    asked = ["stages.0.optim.lr=0.1", "stages.0.optim={AdamW: {lr: 0.2}}"]
    with pytest.raises(RecipeError, match=r"lr=0\.1 and .*AdamW.* both say stages\.0\.optim\.lr"):
        override(find("tsm-r18"), asked)
    assert override(find("tsm-r18"), asked[::-1]).stages[0].optim == AdamW(lr=0.1)


def test_a_field_set_to_nothing_is_empty() -> None:
    full = override(find("tsm-r18"), ["weights=x.pt", "ema=0.9", "data.more=[]"])
    empty = override(full, ["weights=", "ema=", "model.temporal=", "claim="])
    assert (empty.weights, empty.ema, empty.model.temporal, empty.claim) == ("", None, (), None)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("seed=", "seed is empty, expected a whole number"),
        ("augment.flip=", "augment.flip is empty, expected 'none' or"),
        ("stages.0.optim=", "stages.0.optim is empty, expected one of AdamW, SGD"),
        ("model=", "model is empty, expected the fields of a ModelSpec.*{} has the default"),
        ("stages.0.optim=SGDD", "unknown name 'SGDD'.*did you mean 'SGD'"),
        ("stages.0.optim={a: 1, b: 2}", "expected one of AdamW, SGD"),
        ("model.neck.depth=2", "'depth' looks inside None"),
    ],
)
def test_what_cannot_be_empty_or_gone_into_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        override(find("tsm-r18"), [assignment])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("stages.0.optim.lrr=1", "stages.0.optim.*unknown name 'lrr'.*did you mean 'lr'"),
        ("stages.0.optim.lr=fast", "stages.0.optim.SGD.lr is 'fast'"),
        ("stages.7.epochs=1", "no item '7' in a list of 1"),
        ("stages.0.optim=SGDD", "unknown name 'SGDD'.*did you mean 'SGD'"),
        ("seed", "'seed' is not an override"),
        ("seed=-1", "seed is -1, expected at least 0"),
        ("train.sampling.num_segments=4", "gives 4 frames, the model takes 8.*test.sampling alone"),
        ("seed.deep=1", "'deep' looks inside 0"),
        ("seed=[1", "seed is not YAML: line 1.*write the whole change in quotes, as 'seed={...}'"),
        ("seed=2023-02-31", "seed holds a value that cannot be read: day is out of range.*month$"),
        ("stages=3", "stages is 3, expected a list"),
        ("model.encoder=TSM", "model.encoder: unknown name 'TSM'.*known: .*ResNetSpec"),
        ("test.average=median", "test.average is 'median'"),
    ],
)
def test_a_wrong_override_names_the_place(assignment: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        override(find("tsm-r18"), [assignment])


def test_a_wrong_file_is_named() -> None:
    with pytest.raises(RecipeError, match="my.yaml: stages.0.epoch: unknown name 'epoch'"):
        from_yaml(Recipe, "name: x\nmodel: {encoder: ResNetSpec}\nstages: [{epoch: 1}]", "my.yaml")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(RecipeError, match="model is missing"):
        from_plain(Recipe, {"name": "x"})


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(RecipeError, match="no recipe or file 'tsm-r81'.*did you mean 'tsm-r18'"):
        find("tsm-r81")


@dataclass(frozen=True)
class Foreign:
    depth: int = 3


@dataclass(frozen=True)
class Holder:
    thing: Foreign | SGD = field(default_factory=Foreign)


def test_a_class_from_elsewhere_goes_by_its_dotted_path() -> None:
    plain = to_plain(Holder())
    assert plain == {"thing": {f"{__name__}.Foreign": {"depth": 3}}}
    assert from_plain(Holder, plain) == Holder()


def test_reading_imports_nothing_of_python_itself() -> None:
    with pytest.raises(
        RecipeError, match="name 'antigravity.Foreign'. hint: antigravity is not im"
    ):
        from_plain(Holder, {"thing": "antigravity.Foreign"})


def test_a_crop_of_another_class_keeps_the_size_it_was_trained_at() -> None:
    small = override(
        find("tsm-r18"), ["train.crop.size=112", "test.crop={CenterCrop: {size: 112, resize: 128}}"]
    )
    assert override(small, ["test.crop=TenCrop"]).test.crop == TenCrop(112, 128)
    assert override(small, ["test.crop={TenCrop: {resize: 140}}"]).test.crop == TenCrop(112, 140)
    assert override(small, ["test.crop={ThreeCrop: {size: 96}}"]).test.crop == ThreeCrop(96, 128)
    assert override(small, ["test.crop=UniformCrop"]).test.crop == UniformCrop(112, 128)
    assert override(small, ["train.crop=RandomResizedCrop"]).train.crop == RandomResizedCrop(112)


def test_a_class_named_again_keeps_what_is_not_given() -> None:
    slow = override(find("tsm-r18"), ["stages.0.optim={SGD: {momentum: 0.5, lr: 0.02}}"])
    again = override(slow, ["stages.0.optim={SGD: {lr: 0.1}}"])
    assert again.stages[0].optim == replace(slow.stages[0].optim, lr=0.1)
    other = override(slow, ["stages.0.optim={AdamW: {lr: 0.1}}"])
    assert other.stages[0].optim == AdamW(lr=0.1)
