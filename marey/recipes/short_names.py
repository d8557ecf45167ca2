"""Short names of what is changed most: ``epochs=3`` is ``stages.0.epochs=3``.

Each stands for keys of the recipe, all of them where several change together; what they may be is
checked as that of the keys themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields

from marey.errors import RecipeError
from marey.modality import STACKS
from marey.recipes.names import unknown_name
from marey.recipes.published import as_pretrained
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.recipes.schema import to_plain
from marey.recipes.yaml_text import parse_change
from marey.video.augment import Augment
from marey.video.sampling.segments import Sampling, in_frames

OF_A_STAGE = {
    "epochs": "epochs",
    "max_steps": "max_steps",
    "lr": "optim.lr",
    "weight_decay": "optim.weight_decay",
    "warmup": "warmup.epochs",
    "sampler": "sampler",
    "objective": "objective",
    "last_blocks": "last_blocks",
    "layer_decay": "optim.layer_decay",
}
"""Short name -> its key below ``stages.N``."""
OF_ALL = {"flip": "augment.flip", "dropout": "model.dropout", "workers": "data.workers"}
"""Short name -> key of the recipe."""
OF_VIEWS = ("frames", "size")
"""The frames of a clip, of the model and all views; the pixels of a crop, of all views."""
OF_SEVERAL = (*OF_VIEWS, "modality")
"""Those, and what a clip shows: of the model, its encoder and how pixels are normalised."""
SHORT = (*OF_A_STAGE, *OF_ALL, *OF_SEVERAL)


def spelled_out(recipe: Recipe, assignments: Iterable[str]) -> list[str]:
    """The assignments with the keys that short names stand for.

    Those that stand for several keys come first, so that what says more of one of these keys holds,
    wherever it stands.

    Raises:
        RecipeError: a recipe of several stages, where one is to be chosen; its full keys are named.
            Or another sampling beside `frames`: which of the two says its frames is not plain.

    >>> from marey.recipes.catalog import find
    >>> spelled_out(find("tsm-r18"), ["lr=0.1", "seed=1"])
    ['stages.0.optim.lr=0.1', 'seed=1']
    """
    return [full for each in _several_first(assignments) for full in _spelled_out(recipe, each)]


def full_key(name: str) -> str:
    """The key that a short name stands for, of the first stage; other names are their own.

    >>> full_key("lr"), full_key("seed")
    ('stages.0.optim.lr', 'seed')
    """
    return f"stages.0.{OF_A_STAGE[name]}" if name in OF_A_STAGE else OF_ALL.get(name, name)


def spelled_for_test(recipe: Recipe, assignments: Iterable[str]) -> list[str]:
    """As `spelled_out` for a model that is trained: frames and size are those of its test alone.

    >>> from marey.recipes.catalog import find
    >>> spelled_for_test(find("tsm-r18"), ["size=112"])
    ['test.crop.size=112', 'test.crop.resize=128']
    """
    return [full for each in _several_first(assignments) for full in _of_test(recipe, each)]


def _several_first(assignments: Iterable[str]) -> list[str]:
    """The assignments with those of `OF_SEVERAL` before all others."""
    given = [*assignments]
    frames = [each for each in given if each.partition("=")[0] == "frames"]
    samplings = (each for each in given if each.partition("=")[0].endswith(".sampling"))
    if frames and (other := next(samplings, "")):
        raise RecipeError(
            f"{frames[0]} and {other} both say how many frames a clip has",
            f"leave out {frames[0]}, and give the sampling its own number of them",
        )
    return sorted(given, key=lambda each: each.partition("=")[0] not in OF_SEVERAL)


def _of_test(recipe: Recipe, assignment: str) -> Iterator[str]:
    name, equals, _ = assignment.partition("=")
    if name not in OF_SEVERAL:
        if equals:
            _check_key(name)
        yield assignment
    elif name not in OF_VIEWS:  # of the model, which a test does not change
        yield from _spelled_out(recipe, assignment)
    else:
        changes = _spelled_out(recipe, assignment)
        yield from (each for each in changes if each.startswith("test."))


def _spelled_out(recipe: Recipe, assignment: str) -> Iterator[str]:
    name, equals, value = assignment.partition("=")
    if name not in SHORT:
        if equals:
            _check_key(name)
        yield assignment
    elif not equals:
        raise RecipeError(f"'{assignment}' is not an override", f"write {name}=VALUE")
    elif name in OF_ALL:
        yield f"{OF_ALL[name]}={value}"
    elif name in OF_A_STAGE:
        keys = [f"stages.{i}.{OF_A_STAGE[name]}" for i in range(len(recipe.stages))]
        if len(keys) > 1:
            raise RecipeError(
                f"'{assignment}': {recipe.name} has {len(keys)} stages, each with its own {name}",
                f"say which: {' or '.join(f'{key}={value}' for key in keys)}",
            )
        yield f"{keys[0]}={value}"
    elif name == "modality":
        yield from _modality(recipe, value)
    else:
        number = _whole(name, value)
        yield from _frames(recipe, number) if name == "frames" else _size(recipe, number)


def _modality(recipe: Recipe, name: str) -> Iterator[str]:
    """Model, encoder and normalisation of a modality; that which the recipe has changes nothing."""
    modality = next((each for each in STACKS if each == name), None)
    if modality is None:
        raise RecipeError(f"modality is {name}, expected {' or '.join(STACKS)}")
    yield f"model.modality={modality}"
    if modality == recipe.model.modality:
        return
    plan = as_pretrained(recipe.model.encoder, Augment(), modality=modality)
    yield f"model.encoder.in_channels={STACKS[modality].channels}"
    yield f"augment.mean={list(plan.mean)}"
    yield f"augment.std={list(plan.std)}"
    yield f"augment.channel_order={plan.channel_order}"


def _check_key(name: str) -> None:
    """RecipeError if a key begins with no word of a recipe, nor is a short one."""
    first, known = name.partition(".")[0], [field.name for field in fields(Recipe)]
    if first not in (*known, *SHORT):
        raise unknown_name(name, first, (*known, *SHORT))


def _whole(name: str, text: str) -> int:
    number = parse_change(text, name)
    if type(number) is not int or number < 1:
        raise RecipeError(f"{name} is {text}, expected a whole number of at least 1")
    return number


def _frames(recipe: Recipe, frames: int) -> Iterator[str]:
    """Those of the model, and of the views by which it is trained and tested.

    The model is one that is yet to be trained, so that it may be bound to its frames.
    """
    try:
        if not recipe.model.takes_features:
            yield f"model.num_segments={recipe.model.segments_of(frames)}"
        for part, views in _views(recipe):
            sampling = to_plain(in_frames(views.sampling, frames), Sampling)
            yield f"{part}.sampling={json.dumps(sampling)}"
    except ValueError as error:
        raise RecipeError(f"frames is {frames}: {error}") from error


def _size(recipe: Recipe, size: int) -> Iterator[str]:
    """That of all crops; what a picture is scaled to before grows in proportion."""
    if recipe.model.takes_features:
        raise RecipeError(f"size is {size}, but the model takes features, which have none")
    for part, views in _views(recipe):
        yield f"{part}.crop.size={size}"
        before, grows = getattr(views.crop, "resize", None), size / views.crop.size
        if isinstance(before, int):
            yield f"{part}.crop.resize={round(before * grows)}"
        elif before is not None:
            yield f"{part}.crop.resize={[round(side * grows) for side in before]}"


def _views(recipe: Recipe) -> Iterator[tuple[str, Views | TestViews]]:
    for part, views in (("train", recipe.train), ("val", recipe.val), ("test", recipe.test)):
        if views is not None:
            yield part, views
