"""A trained model is tested on the segments that are asked for, or it is said why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marey.errors import RecipeError
from marey.recipes.catalog import rows
from marey.recipes.protocols import protocol_of
from marey.recipes.recipe import Recipe, Views
from marey.recipes.schema import from_yaml, override, to_yaml
from marey.recipes.testing import for_test, segments_in_words
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.motionformer import TimedClips
from marey.video.sampling.segments import AllFrames, Dense, EvenFrames, Segments

TSN, TDN, BLVNET = (
    rows()[name] for name in ("tsn-r18", "tdn-r50-16f-ssv1", "blvnet-tam-50-a2-b4-f8x2-ssv2")
)
REFUSED = {
    "MotionformerSpec": "temp_embed.*another model",
    "BLVNetSpec": "may be 14 frames, 2 to a segment of the model, or 7 frames that are sampled",
    "AllFrames": r"AllFrames\(\) has no number of segments",
}


@pytest.mark.parametrize("recipe", rows().values(), ids=lambda recipe: recipe.name)
def test_every_recipe_takes_seven_segments_or_says_why_not(recipe: Recipe) -> None:
    parts = {type(part).__name__ for part in (recipe.model.encoder, recipe.train.sampling)}
    message = next((said for name, said in REFUSED.items() if name in parts), None)
    if message:
        with pytest.raises(RecipeError, match=message):
            for_test(recipe, segments=7)
        return
    tested = for_test(recipe, segments=7)
    assert (tested.model, tested.train) == (recipe.model, recipe.train)
    if recipe.model.takes_features:
        assert tested.test.sampling.frames == 7
        return
    assert tested.tested_model.num_segments == 7
    assert segments_in_words(tested).startswith(f"trained on {recipe.model.num_segments} segments")
    assert from_yaml(Recipe, to_yaml(tested)) == tested


def test_a_window_keeps_its_span_and_a_clip_its_stride() -> None:
    dense = rows()["tsm-r50-8f-k400-dense"]
    assert for_test(dense, segments=16).test.sampling == Dense(16)
    timed = override(TSN, ["test.sampling={TimedClips: {num_frames: 8, stride: 2}}"])
    assert for_test(timed, segments=4).test.sampling == TimedClips(4, 2)
    features = rows()["videolt-bce-r101"]
    assert for_test(features, segments=20).test.sampling == EvenFrames(20)


@pytest.mark.parametrize(
    ("name", "segments"),
    [
        ("tsm-1x10", 16),
        ("tsm-2x3", 25),
        ("tsm-dense-10x3", 16),
        ("arp-dense-10x3", 32),
        ("gc-2x1-upstream", 5),
    ],
)
def test_a_protocol_on_other_segments_has_its_name_still(name: str, segments: int) -> None:
    tested = for_test(TSN, protocol=name, segments=segments)
    assert tested.test.sampling.frames == segments
    assert protocol_of(tested) == name


def test_a_protocols_windows_grow_with_the_segments() -> None:
    """They are of every second frame, however many there are."""
    tested = for_test(TSN, protocol="arp-dense-10x3", segments=32)
    assert tested.test.sampling == Dense(32, span=64, clips=10)


def test_the_classic_test_of_tsn_has_a_protocol() -> None:
    tested = for_test(TSN, protocol="tsn-25x10")
    assert (tested.test.sampling, tested.test.crop.views) == (Segments(25), 10)
    assert tested.test == for_test(TSN, protocol="tsm-1x10", segments=25).test
    assert protocol_of(tested) == "tsn-25x10"


def test_tdn_says_that_its_halves_are_added_otherwise() -> None:
    said = segments_in_words(for_test(TDN, segments=8))
    assert said.startswith("trained on 16 segments (80 frames), tested on 8 (40 frames); TDN adds")
    assert not segments_in_words(TDN)


def test_pairs_are_given_as_frames() -> None:
    tested = for_test(BLVNET, overrides=["test.sampling.num_segments=32"])
    assert tested.tested_model.num_segments == 16
    with pytest.raises(
        RecipeError, match=r"say the frames: .*=32 or test.sampling.num_segments=16"
    ):
        for_test(BLVNET, segments=16)
    with pytest.raises(RecipeError, match=r"whole segments of 2.*: test.*num_segments=10$"):
        for_test(BLVNET, segments=5)
    with pytest.raises(RecipeError, match="test.sampling gives 17 frames, the model is trained on"):
        for_test(BLVNET, overrides=["test.sampling.num_segments=17"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"segments": 0}, "cannot be tested on 0 segments: segments is 0, expected at least 1"),
        ({"segments": 10**9}, "segments is 1000000000, expected 1 to 10000"),
        ({"protocol": "tsn-25x10", "segments": 8}, "tsn-25x10 has views of 25 frames, not of 8"),
        ({"overrides": ["model.dropout=0.1"]}, "changes the model.*hint: segments=N"),
        (
            {"segments": 8, "overrides": ["test.sampling.num_segments=5"]},
            "a test on 8 segments is asked for, but test.sampling.num_segments=5 gives 5 frames",
        ),
        ({"overrides": ["model.num_segments=4"]}, "hint: .*test.sampling alone says on how many"),
    ],
)
def test_what_does_not_go_together_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        for_test(TSN, **asked)  # type: ignore[arg-type]


def test_a_sampling_without_a_number_of_segments_is_refused() -> None:
    recipe = replace(rows()["features-linear"], train=Views(AllFrames()))
    with pytest.raises(RecipeError, match=r"AllFrames\(\) has no number of segments"):
        for_test(recipe, protocol="features-all", segments=5)


def test_frames_of_the_test_alone_may_be_others() -> None:
    assert override(TSN, ["test.sampling=Uniform"]).tested_model.frames == Uniform().frames
    with pytest.raises(RecipeError, match="train.sampling gives 16 frames, the model takes 8"):
        override(TSN, ["train.sampling=Uniform"])
