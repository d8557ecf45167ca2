"""A recipe as it is given to others: without what says where things lie on its owner's machine.

Left out are the manifests and roots of the clips, and weights to start from that are a file or
folder; a name that marey does not list is that of its owner, and is given another. What else looks
like a place is refused, not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace

from marey.data.features.feature_file import About
from marey.errors import RecipeError
from marey.recipes.catalog import rows
from marey.recipes.joined import WEIGHTS_FROM
from marey.recipes.recipe import DataSpec, Recipe
from marey.recipes.schema import Plain, to_plain
from marey.storage.url import without_secrets

_PLACE = re.compile(
    r"(^|[\s:=,('\"\[])(~[\w/\\]|\.{1,2}[/\\]|/\w|\\\\|[A-Za-z]:[/\\])|\w://", re.ASCII
)
_OF_THE_WEB = re.compile(r"https?://[^\s/@]+(?=[\s/?#]|$)\S*")
_PUBLISHED = ("claim.",)
"""Keys whose texts may be addresses of the web, but of no user."""
_OF_FEATURES = ("encoder", "model_spec", "views", "pixels", "flow", "per", "weights", "dtype")


def without_places(recipe: Recipe) -> Recipe:
    """The recipe without the manifests and roots of clips, and weights that are a file or folder.

    What decodes videos stays, and how flow is computed.
    """
    weights = recipe.weights if is_public_name(recipe.weights) else ""
    data = DataSpec(backend=recipe.data.backend, flow=recipe.data.flow)
    return replace(recipe, data=data, weights=weights)


def to_share(recipe: Recipe, name: str) -> tuple[Recipe, list[str]]:
    """The recipe without places, called `name` if marey lists none like it; the keys left out.

    RecipeError names a key whose text is a place all the same.
    """
    shared = without_places(recipe)
    left = [
        f"data.{each.name}"
        for each in fields(DataSpec)
        if getattr(recipe.data, each.name) != getattr(shared.data, each.name)
    ]
    left += ["weights"] if shared.weights != recipe.weights else []
    own = not _is_listed(recipe.name)
    left += ["name"] if own and recipe.name != name else []
    shared = replace(shared, name=name if own else recipe.name)
    for key, text in _texts(to_plain(shared)):
        if _is_place(key, text):
            raise RecipeError(
                f"{key} of the recipe is '{without_secrets(text)}', a place that others do not "
                "have",
                "it is not sent: train without it",
            )
    return shared, left


def features_to_share(about: About) -> dict[str, object]:
    """What made the features that a model takes, without where it lies and which clips they are."""
    kept = {key: about[key] for key in _OF_FEATURES if key in about}
    weights, model = str(about.get(WEIGHTS_FROM, "")), str(about.get("model", ""))
    kept |= {WEIGHTS_FROM: weights} if weights and is_public_name(weights) else {}
    return kept | ({"model": model} if _is_listed(model) else {})


def is_public_name(weights: str) -> bool:
    """Whether weights to start from are named as marey's tables name them, or are none."""
    return weights in ("", "imagenet") or weights.removeprefix("from:") in rows()


def own_classes(recipe: Recipe) -> list[str]:
    """The classes that a recipe names and marey does not have, by module and name."""
    return sorted({name for name in _names(to_plain(recipe)) if "." in name})


def _is_place(key: str, text: str) -> bool:
    """Whether a text names a file, or an address that is no published one."""
    return bool(_PLACE.search(_OF_THE_WEB.sub("", text) if key.startswith(_PUBLISHED) else text))


def _is_listed(name: str) -> bool:
    """Whether a recipe has the name of a row, with what may be added to it (+lora)."""
    return name.partition("+")[0] in rows()


def _names(plain: Plain) -> Iterator[str]:
    """The keys of all mappings in a recipe, and so the names of its classes."""
    if isinstance(plain, dict):
        yield from plain
    for value in plain.values() if isinstance(plain, dict) else plain:
        if isinstance(value, dict | list):
            yield from _names(value)


def _texts(plain: Plain, where: str = "") -> Iterator[tuple[str, str]]:
    """Key and text of all texts in a recipe."""
    if isinstance(plain, str):
        yield where, plain
    elif isinstance(plain, dict | list):
        pairs = plain.items() if isinstance(plain, dict) else enumerate(plain)
        for key, value in pairs:
            yield from _texts(value, f"{where}.{key}" if where else str(key))
