"""A model that starts from the weights of another: what is taken, what is new, what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from marey.data.manifest.classes import unnamed
from marey.engine.weights.checkpoint import load_strictly
from marey.engine.weights.huggingface import pretrained
from marey.engine.weights.imagenet import official_for
from marey.engine.weights.origin import Origin, origin_of
from marey.engine.weights.published import find
from marey.engine.weights.zoo.catalog import CHECKPOINTS, is_here, located, release_folder
from marey.errors import CheckpointError, counted
from marey.models.sites import is_added
from marey.models.video_model import VideoModel
from marey.recipes.frozen import encoder_part
from marey.recipes.huggingface import is_hugging_face
from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_plain

FROM = "from:"
"""Before the name of the recipe whose weights another starts from."""


def starting_weights(recipe: Recipe) -> Path | None:
    """The file or folder that the recipe starts from, or None.

    Raises:
        CheckpointError: it is not on this machine: how to get it, and where to put it.
    """
    if not recipe.weights:
        return None
    if recipe.weights == "imagenet":
        return find(official_for(recipe.model.encoder))
    if not recipe.weights.startswith(FROM):
        return located(Path(recipe.weights))
    source = recipe.weights.removeprefix(FROM)
    if source in CHECKPOINTS and is_here(source):
        return release_folder(source)
    get = f"marey weights get {source}; or " if source in CHECKPOINTS else ""
    raise CheckpointError(
        f"{recipe.name} starts from the weights of {source}",
        f"{get}train that, or convert its published checkpoint, and give them (--weights FILE); "
        f"marey recipes show {source} explains it",
    )


def initialize(
    model: VideoModel,
    path: Path,
    recipe: Recipe | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Start `model` from the weights in `path`; returns what was taken, and what differs there.

    Weights of a whole `VideoModel` fill everything but heads of another name, size or classes,
    another neck and the heads behind it, and what temporal ops added that they lack altogether;
    weights of a picture network fill the encoder.

    Args:
        model: that of `recipe`, which is compared with the one in the folder of `path`.
        path: a file, or the folder of a run, of a release or of a network of Hugging Face.
        recipe: None compares nothing.
        classes: head -> its class names. A head of as many others starts anew.

    Raises:
        CheckpointError: the file cannot be read, or anything else in it does not fit.
    """
    origin = origin_of(path)
    if is_hugging_face(path):
        own_weights, taken = pretrained(path, model.spec.encoder)
        model.load_encoder(own_weights)
        return taken
    weights = origin.weights()
    if not any(name.startswith(("encoder.", "heads.")) for name in weights):
        model.load_encoder(weights)
        return f"encoder from {path}"
    own, renamed = model.state_dict(), _other_classes(classes or {}, origin.classes)
    same_neck = _shapes(own, "neck.") == _shapes(weights, "neck.")
    others = [
        name
        for name in dict.fromkeys((*own, *weights))
        if _is_other_head(name, own, weights, renamed)
        or (not same_neck and name.startswith(("neck.", "heads.")))
    ]
    added = [name for name in own if is_added(name)]
    new = [] if set(added) & set(weights) else added
    kept = {name: value for name, value in weights.items() if name not in others}
    load_strictly(model, kept, may_miss=[*others, *new], source=path)
    of_ops = f"what the temporal ops added ({counted(len(new), 'tensor')})"
    left = [*others, *([of_ops] if new else [])]
    said = [f"weights from {path}" + (f", without {', '.join(left)}" if left else "")]
    said += renamed.values()
    said += differences(recipe, origin) if recipe else ()
    return "; ".join(said)


def differences(recipe: Recipe, origin: Origin) -> list[str]:
    """In what the model of the weights, or what it is shown, differs from that of `recipe`.

    Heads, how they begin, dropout and LoRA aside: a weight tells of the first, and nothing depends
    on the others.
    """
    if origin.recipe is None:
        return []
    here, there = (dict(_facts(of)) for of in (recipe, origin.recipe))
    return [
        f"{key} is {here.get(key, 'not set')} here, {there.get(key, 'not set')} there"
        for key in dict.fromkeys((*here, *there))
        if here.get(key) != there.get(key)
    ]


def _facts(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    yield from _leaves("model", to_plain(encoder_part(recipe.model)))
    for name in ("mean", "std", "channel_order"):
        yield f"augment.{name}", getattr(recipe.augment, name)


def _leaves(name: str, plain: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(plain, dict):
        for key, value in plain.items():
            yield from _leaves(f"{name}.{key}", value)
    elif isinstance(plain, list) and any(isinstance(value, dict) for value in plain):
        for number, value in enumerate(plain):
            yield from _leaves(f"{name}.{number}", value)
    else:
        yield name, plain


def _shapes(weights: Mapping[str, Tensor], prefix: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(w.shape) for name, w in weights.items() if name.startswith(prefix)}


def _is_other_head(
    name: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], renamed: Mapping[str, str]
) -> bool:
    if not name.startswith("heads."):
        return False
    fits = name in own and name in weights and own[name].shape == weights[name].shape
    return not fits or name.split(".")[1] in renamed


def _other_classes(
    here: Mapping[str, Sequence[str]], there: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Head -> what is said of it, of those whose classes have other names in the same number.

    Numbers are no names: a manifest without a list of classes has no others, and neither has a
    checkpoint that was converted without --labels.
    """
    said = {}
    for head, names in here.items():
        theirs = there.get(head, ())
        numbers = [*unnamed(len(theirs))]
        if (
            numbers not in (list(names), list(theirs))
            and len(theirs) == len(names)
            and list(theirs) != list(names)
        ):
            ours, other = next((a, b) for a, b in zip(names, theirs, strict=True) if a != b)
            said[head] = f"head '{head}' is new: its class '{ours}' is '{other}' there"
    return said
