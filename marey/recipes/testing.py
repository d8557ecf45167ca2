"""How a trained model is tested: by a protocol, on a number of segments, with changes of its views.

The weights of most networks are those of a frame and its neighbours, so that a model trained on 3
segments may be tested on 25: the views of the test alone change, and `Recipe.tested_model` follows
them (`ModelSpec.with_segments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from marey.errors import RecipeError, counted
from marey.models.encoder import MadeForClips
from marey.recipes.protocols import protocol as named
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override
from marey.recipes.short_names import OF_A_STAGE, spelled_for_test
from marey.video.sampling.segments import in_frames, in_segments


def for_test(
    recipe: Recipe,
    *,
    protocol: str | None = None,
    segments: int | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """The recipe of a trained model with other test views.

    Args:
        protocol: test views by name (`marey.recipes.protocols`); by default the recipe's own.
        segments: of a clip; by default as many as these views have.
        overrides: ``key=value`` that change the recipe after that, ``size=N`` and ``frames=N``
            its test.

    Raises:
        RecipeError: the model cannot take the views, or a change is one of the model itself.
    """
    views = recipe
    if protocol:
        frames = None if segments is None else _frames(recipe, segments)
        views = named(protocol).applied(recipe, frames)
    elif segments is not None:
        views = _on_segments(recipe, segments)
    _refuse_idle(overrides)
    tested = override(views, spelled_for_test(views, overrides))
    if tested.model != recipe.model:
        raise RecipeError(
            f"{', '.join(overrides)} changes the model, which is trained already",
            "segments=N or test.sampling.num_segments=N tests it on another number of segments",
        )
    if segments is not None and tested.test.sampling.frames != views.test.sampling.frames:
        raise RecipeError(
            f"a test on {counted(segments, 'segment')} is asked for, "
            f"but {', '.join(overrides)} gives "
            f"{tested.test.sampling.frames or 'all'} frames a clip",
            "leave out one of the two",
        )
    return tested


_OF_TRAINING = (
    *("stages", "train", "val", "eval_every", "accumulate", "lr_batch_size", "clip_grad", "ema"),
    *("save_best", "smooth", "patience", "weights", "seed", "name", "claim", "augment"),
    "data.bad_clip_budget",
    *(*OF_A_STAGE, "flip"),
)
_OF_TESTS = ("augment.mean", "augment.std", "augment.channel_order")
"""What is of a test as well, among them."""
_OF_STREAMS = ("decision",)


def _refuse_idle(overrides: Sequence[str]) -> None:
    """RecipeError names the overrides of what no test looks at: they would do nothing."""
    given = [each.partition("=")[0] for each in overrides]
    keys = [key for key in given if not _is_in(key, _OF_TESTS)]
    for of, parts in (("training", _OF_TRAINING), ("streams", _OF_STREAMS)):
        if idle := [key for key in keys if _is_in(key, parts)]:
            raise RecipeError(
                f"{', '.join(idle)}: of {of} alone, without effect on a test",
                "a test is changed by test.sampling, test.crop, test.average, "
                f"{', '.join(_OF_TESTS)}, data, amp and batch_size",
            )


def _is_in(key: str, parts: Sequence[str]) -> bool:
    """Whether a key is one of these parts of a recipe, or lies in one."""
    return any(f"{key}.".startswith(f"{part}.") for part in parts)


def segments_in_words(recipe: Recipe) -> str:
    """What a test on other segments than those of training is, and changes; empty if it is none.

    Of an encoder that knows the size of its pictures, what a test on another size changes as well.

    >>> from marey.recipes.catalog import find
    >>> segments_in_words(for_test(find("tsn-r18"), segments=25))
    'trained on 8 segments (8 frames), tested on 25 (25 frames)'
    """
    trained, tested = recipe.model, recipe.tested_model
    if trained == tested:
        return _other_size(recipe)
    words = (
        f"trained on {counted(trained.num_segments, 'segment')} "
        f"({counted(trained.frames, 'frame')}), "
        f"tested on {tested.num_segments} ({counted(tested.frames, 'frame')})"
    )
    parts = (words, *trained.changes_on(tested.num_segments), _other_size(recipe))
    return "; ".join(filter(None, parts))


def _other_size(recipe: Recipe) -> str:
    encoder, size = recipe.model.encoder, recipe.test.crop.size
    if size == recipe.train.crop.size or not isinstance(encoder, MadeForClips):
        return ""
    return encoder.on_clips(recipe.model.frames, size)


def _on_segments(recipe: Recipe, segments: int) -> Recipe:
    views, frames = recipe.test, _frames(recipe, segments)
    try:
        return replace(recipe, test=replace(views, sampling=in_frames(views.sampling, frames)))
    except ValueError as error:
        raise _refused(recipe, segments, error) from error


def _frames(recipe: Recipe, segments: int) -> int:
    """The frames of so many segments; RecipeError if they may be several, or the model's no more.

    A segment of bLVNet is a pair of frames that are sampled apart.
    """
    try:
        frames = in_segments(recipe.train.sampling, segments).frames
        length = recipe.model.encoder.frames_per_segment
        if not recipe.model.takes_features and frames != segments * length:
            raise _ambiguous(recipe, segments, frames)
        recipe.model.with_frames(frames)
    except ValueError as error:
        raise _refused(recipe, segments, error) from error
    return frames


def _ambiguous(recipe: Recipe, segments: int, frames: int) -> RecipeError:
    length = recipe.model.encoder.frames_per_segment
    whole = "" if frames % length == 0 else f", which are not whole segments of {length}"
    name = "num_segments" if hasattr(recipe.test.sampling, "num_segments") else "num_frames"
    return RecipeError(
        f"{counted(segments, 'segment')} of '{recipe.name}' may be {segments * length} frames, "
        f"{length} to a segment of the model, or {counted(frames, 'frame')} that are sampled "
        f"apart{whole}",
        f"say the frames: test.sampling.{name}={segments * length}"
        + ("" if whole else f" or test.sampling.{name}={frames}"),
    )


def _refused(recipe: Recipe, segments: int, error: ValueError) -> RecipeError:
    number = counted(segments, "segment")
    return RecipeError(f"'{recipe.name}' cannot be tested on {number}: {error}")
