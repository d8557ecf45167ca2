"""The views by which a run validates while it trains: one of a clip, where a test has many.

A published test of Kinetics looks at a clip 30 times; after every epoch that would cost more than
the epoch. One view says as well which epoch is better. It is another measure than the test: what
is compared with a published number comes from the test views alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import replace

from marey.errors import counted
from marey.recipes.recipe import Recipe, TestViews
from marey.recipes.schema import override
from marey.recipes.short_names import spelled_out
from marey.video.crops import CenterCrop, Crop, FixedCrop
from marey.video.sampling.motionformer import TimedClips
from marey.video.sampling.repeated_draws import Drawn
from marey.video.sampling.resampled import ResampledClips
from marey.video.sampling.segments import Dense, Sampling


def one_view(test: TestViews) -> TestViews:
    """The middle clip and the centre crop of these test views, averaged as they are.

    A sampling or crop of somebody's own that has no single clip or crop stays as it is.
    """
    return replace(test, sampling=_one_clip(test.sampling), crop=_one_crop(test.crop))


def val_views(recipe: Recipe) -> TestViews:
    """The views by which `recipe` validates: its own, or one."""
    return recipe.val or one_view(recipe.test)


def with_val(recipe: Recipe, otherwise: TestViews | None = None) -> Recipe:
    """The recipe with its views of validation said: its own, else `otherwise`, else one."""
    return replace(recipe, val=recipe.val or otherwise or one_view(recipe.test))


def following_test(recipe: Recipe) -> Recipe:
    """The recipe of a run to begin another one with: one view follows its test views again."""
    follows = recipe.val == one_view(recipe.test)
    return replace(recipe, val=None) if follows else recipe


def override_with_val(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """As `override`, with short names (`marey.recipes.short_names`) spelled out.

    ``val.crop=ThreeCrop`` changes the one view where the recipe says none.
    """
    given = spelled_out(recipe, assignments)
    inside = [each for each in given if each.startswith("val.")]
    recipe = override(recipe, [each for each in given if each not in inside])
    return override(with_val(recipe), inside) if inside else recipe


def views_in_words(views: TestViews) -> str:
    """The passes of a clip through the model, clips in time x crops: ``30 views``."""
    return counted(views.sampling.clips * views.crop.views, "view")


def _one_clip(sampling: Sampling) -> Sampling:
    if sampling.clips == 1:
        return sampling
    if isinstance(sampling, Drawn):
        return _one_clip(sampling.rule)
    if isinstance(
        sampling, Dense | TimedClips | ResampledClips
    ):  # upstream's single clip is the first of a video
        return replace(sampling, clips=1, variant="repaired")
    if not dataclasses.is_dataclass(sampling):
        return sampling
    has_number = any(f.name == "clips" and f.init for f in dataclasses.fields(sampling))
    return replace(sampling, clips=1) if has_number else sampling


def _one_crop(crop: Crop) -> Crop:
    if crop.views == 1 or not isinstance(crop, FixedCrop):
        return crop
    return CenterCrop(crop.size, crop.resize, antialias=crop.antialias)
