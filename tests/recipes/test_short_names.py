"""Short names stand for full keys, where it is plain which."""

from __future__ import annotations

import pytest

from marey.errors import RecipeError
from marey.recipes.catalog import find
from marey.recipes.short_names import spelled_out
from marey.recipes.testing import for_test
from marey.recipes.val_views import override_with_val
from marey.video.crops import CenterCrop, TenCrop
from marey.video.sampling.segments import Segments


def test_short_names_change_what_they_stand_for() -> None:
    short = ["epochs=3", "lr=0.1", "warmup=0", "flip=plain", "frames=16", "size=56", "seed=7"]
    recipe = override_with_val(find("tsm-r18"), short)
    (stage,) = recipe.stages
    assert (stage.epochs, stage.optim.lr, stage.warmup.epochs) == (3, 0.1, 0)
    assert (recipe.augment.flip, recipe.seed, recipe.model.num_segments) == ("plain", 7, 16)
    assert (recipe.train.sampling, recipe.test.sampling) == (Segments(16), Segments(16))
    assert (recipe.train.crop.size, recipe.test.crop) == (56, CenterCrop(56, 64))


def test_of_a_trained_model_short_names_change_the_test_alone() -> None:
    recipe = find("tsm-r18")
    tested = for_test(recipe, overrides=["frames=16", "size=56"])
    assert (tested.test.sampling, tested.test.crop) == (Segments(16), CenterCrop(56, 64))
    assert (tested.model, tested.train) == (recipe.model, recipe.train)


@pytest.mark.parametrize("order", [1, -1])
def test_what_says_more_of_one_key_holds_in_either_order(order: int) -> None:
    asked = ["train.crop.size=48", "test.crop=TenCrop", "size=56", "frames=16"]
    recipe = override_with_val(find("tsm-r18"), asked[::order])
    assert (recipe.train.crop.size, recipe.test.crop) == (48, TenCrop(56, 64))
    asked = ["test.sampling.clips=2", "frames=16"]
    assert override_with_val(find("tsm-r18"), asked[::order]).test.sampling == Segments(16, clips=2)


@pytest.mark.parametrize("order", [1, -1])
def test_frames_beside_another_sampling_are_refused(order: int) -> None:
    with pytest.raises(RecipeError, match="frames=16 and test.sampling=Dense both say how many"):
        override_with_val(find("tsm-r18"), ["frames=16", "test.sampling=Dense"][::order])


def test_a_model_that_is_yet_to_be_trained_takes_frames_that_a_trained_one_does_not() -> None:
    recipe = override_with_val(find("motionformer-16f-k400"), ["frames=4"])
    assert (recipe.model.frames, recipe.train.sampling.frames, recipe.test.sampling.frames) == (
        4,
        4,
        4,
    )
    with pytest.raises(RecipeError, match="resized to 8 frames it would be another model"):
        for_test(recipe, overrides=["frames=8"])
    with pytest.raises(RecipeError, match="frames is 7: 7 frames, expected whole segments of 5"):
        override_with_val(find("tdn-r50-8f-ssv1"), ["frames=7"])


def test_a_picture_that_is_squeezed_stays_so() -> None:
    recipe = override_with_val(find("tsm-r18"), ["test.crop.resize=[112, 120]"])
    assert override_with_val(recipe, ["size=56"]).test.crop == CenterCrop(56, (56, 60))


@pytest.mark.parametrize(
    ("name", "short", "message"),
    [
        ("tsm-r18+crt", "epochs=3", r"stages.0.epochs=3 or stages.1.epochs=3"),
        ("tsm-r18", "frames=0", "expected a whole number of at least 1"),
        ("features-linear", "size=64", "takes features, which have none"),
        ("motionformer-16f-k400", "size=60", r"train: pictures have 60 pixels.*hint: size=64"),
        ("s3d-8f-mini-ssv2", "size=16", r"train: pictures have 16 pixels.*at least 17 \(S3DSpec"),
        ("tsm-r18", "epoch=3", "did you mean 'epochs'"),
    ],
)
def test_what_a_short_name_cannot_mean_is_refused(name: str, short: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        override_with_val(find(name), [short])


def test_several_stages_leave_what_is_of_all() -> None:
    assert spelled_out(find("tsm-r18+crt"), ["dropout=0"]) == ["model.dropout=0"]


@pytest.mark.parametrize(
    "key", ["stages.0.optim.lr=1", "lr=1", "epochs=3", "augment.flip=plain", "seed=2", "val={}"]
)
def test_a_test_refuses_what_only_training_looks_at(key: str) -> None:
    with pytest.raises(RecipeError, match=f"{key.partition('=')[0]}: of training alone"):
        for_test(find("tsm-r18"), overrides=["test.crop.size=64", key])


def test_a_test_refuses_what_only_streams_look_at() -> None:
    with pytest.raises(RecipeError, match="decision: of streams alone, without effect on a test"):
        for_test(find("tsm-r18"), overrides=["decision=MeanOfLast"])


def test_a_test_takes_what_it_looks_at() -> None:
    asked = ["augment.mean=[0, 0, 0]", "data.workers=0", "amp=true", "batch_size=2"]
    assert for_test(find("tsm-r18"), overrides=asked).augment.mean == (0, 0, 0)
