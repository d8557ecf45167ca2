"""The one view that validates within training, of the test views of papers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from marey.errors import RecipeError
from marey.recipes.catalog import find, rows
from marey.recipes.recipe import TestViews
from marey.recipes.val_views import (
    following_test,
    one_view,
    override_with_val,
    views_in_words,
    with_val,
)
from marey.video.crops import CenterCrop, Crop, FiveCrop, TenCrop, ThreeCrop
from marey.video.motionformer_crops import UniformCrop
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.motionformer import RoundedSegments, TimedClips
from marey.video.sampling.repeated_draws import Drawn
from marey.video.sampling.segments import (
    AllFrames,
    Clips,
    Dense,
    EvenFrames,
    Indices,
    Sampling,
    Segments,
)


@pytest.mark.parametrize(
    ("test", "val"),
    [
        (Segments(8), Segments(8)),
        (Segments(8, clips=2), Segments(8)),
        (Segments(8, 5, clips=2, variant="upstream"), Segments(8, 5, variant="upstream")),
        (Dense(8), Dense(8, clips=1)),
        (Dense(8, variant="upstream"), Dense(8, clips=1)),
        (Clips(8, 8, clips=10), Clips(8, 8)),
        (Uniform(8, clips=10), Uniform(8)),
        (TimedClips(16, fps=60), TimedClips(16, fps=60, clips=1)),
        (TimedClips(16, variant="upstream-epic"), TimedClips(16, clips=1)),
        (Drawn(Segments(8, 5)), Segments(8, 5)),
        (Drawn(Dense(8)), Dense(8, clips=1)),
        (RoundedSegments(8), RoundedSegments(8)),
        (EvenFrames(60), EvenFrames(60)),
        (AllFrames(), AllFrames()),
    ],
)
def test_one_clip_by_the_same_rule(test: Sampling, val: Sampling) -> None:
    assert one_view(TestViews(test)).sampling == val
    assert val.indices(300).shape[0] == 1


@pytest.mark.parametrize("variant", ["repaired", "upstream"])
def test_a_single_window_is_the_middle_one(variant: str) -> None:
    for test in (Dense(8, variant=variant), TimedClips(8, 8, variant=variant)):  # type: ignore[arg-type]
        (val,) = one_view(TestViews(test)).sampling.indices(164)
        assert val[0] == 50
        assert np.diff(val).tolist() == pytest.approx([8] * 7, abs=1)


@pytest.mark.parametrize(
    ("test", "val"),
    [
        (ThreeCrop(256, 256), CenterCrop(256, 256)),
        (TenCrop(224, 256), CenterCrop(224, 256)),
        (FiveCrop(224, (256, 340)), CenterCrop(224, (256, 340))),
        (ThreeCrop(112, None), CenterCrop(112, None)),
        (UniformCrop(), CenterCrop(224, 224)),
        (CenterCrop(64, 80), CenterCrop(64, 80)),
    ],
)
def test_the_centre_crop_of_the_same_size(test: Crop, val: Crop) -> None:
    assert one_view(TestViews(crop=test, average="probs")) == TestViews(crop=val, average="probs")


def test_every_row_validates_with_one_view_of_as_many_frames_and_pixels() -> None:
    for recipe in rows().values():
        val, test = with_val(recipe).val, recipe.test
        assert val is not None
        assert views_in_words(val) == "1 view", recipe.name
        assert val.sampling.frames == test.sampling.frames
        assert (val.crop.size, val.average) == (test.crop.size, test.average)


def test_what_a_recipe_says_stands() -> None:
    recipe, two = find("tsm-r50-8f-k400-dense"), TestViews(Dense(8, clips=2))
    assert views_in_words(recipe.test) == "30 views"
    assert with_val(replace(recipe, val=two)).val == two
    assert with_val(recipe, otherwise=two).val == two
    with pytest.raises(ValueError, match=r"val\.sampling gives 8 frames, the model is trained on"):
        replace(find("motionformer-16f-k400"), val=two)
    with pytest.raises(ValueError, match="eval_every is 0"):
        replace(recipe, eval_every=0)


def test_one_view_of_a_run_follows_the_test_of_a_run_that_begins_with_its_recipe() -> None:
    recipe = find("tsm-r50-8f-k400-dense")
    assert following_test(with_val(recipe)) == recipe
    two = replace(recipe, val=TestViews(Dense(8, clips=2)))
    assert following_test(two) == two


def test_a_part_of_views_that_nobody_wrote_down_can_be_changed() -> None:
    recipe = find("tsm-r50-8f-k400-dense")
    three = override_with_val(recipe, ["val.crop=ThreeCrop", "test.sampling.span=32"]).val
    assert three == TestViews(Dense(8, 32, clips=1), ThreeCrop(256, 256))
    assert override_with_val(recipe, ["seed=3"]).val is None
    with pytest.raises(RecipeError, match=r"val\.crops"):
        override_with_val(recipe, ["val.crops=ThreeCrop"])


def test_a_rule_of_somebodys_own_keeps_its_clips_if_it_cannot_have_one() -> None:
    @dataclass(frozen=True)
    class Ends:
        frames: int = 8
        clips = 2

        def indices(self, num_frames: int, rng: np.random.Generator | None = None) -> Indices:
            ends = np.array([[0], [num_frames - 1]])
            return (ends if rng is None else ends[:1]).repeat(self.frames, axis=1)

    assert one_view(TestViews(Ends())).sampling == Ends()
