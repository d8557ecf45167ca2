"""What the shell completes: names of recipes, weights, forms and data sets, keys and classes.

Each function takes the beginning of a word and gives the whole words that it may be. Where none
fits the shell completes files, so names and paths may stand in one place. They run when someone
presses the tab key, and load what they need only then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields


def recipes(incomplete: str) -> list[str]:
    """Names of recipes."""
    from marey.recipes.catalog import rows

    return _beginning(incomplete, rows())


def recipes_and_ensembles(incomplete: str) -> list[str]:
    """Names of recipes and of published ensembles."""
    return [*recipes(incomplete), *ensembles(incomplete)]


def ensembles(incomplete: str) -> list[str]:
    """Names of published ensembles."""
    from marey.recipes.ensembles import ensembles

    return _beginning(incomplete, ensembles())


def changes(incomplete: str) -> list[str]:
    """Keys of a recipe with their ``=``; behind it what the key may be, where that has names."""
    from marey.recipes.recipe import Recipe
    from marey.recipes.schema import names_at
    from marey.recipes.short_names import SHORT, full_key

    key, equals, _ = incomplete.partition("=")
    if equals:
        return _beginning(incomplete, [f"{key}={each}" for each in names_at(Recipe, full_key(key))])
    return _beginning(incomplete, [f"{name}=" for name in (*SHORT, *_keys(Recipe))])


def recipes_and_changes(incomplete: str) -> list[str]:
    """For a command that may be given changes alone."""
    return [*recipes(incomplete), *changes(incomplete)]


def weights(incomplete: str) -> list[str]:
    """Names of published weights."""
    from marey.engine.weights.imagenet import OFFICIAL
    from marey.engine.weights.zoo.catalog import CHECKPOINTS

    return _beginning(incomplete, (*CHECKPOINTS, *OFFICIAL))


def checkpoints(incomplete: str) -> list[str]:
    """Names of published weights that are a whole model."""
    from marey.engine.weights.zoo.catalog import CHECKPOINTS

    return _beginning(incomplete, CHECKPOINTS)


def protocols(incomplete: str) -> list[str]:
    """Names of test protocols."""
    from marey.recipes.protocols import PROTOCOLS

    return _beginning(incomplete, (one.name for one in PROTOCOLS))


def forms(incomplete: str) -> list[str]:
    """Names of forms of a model."""
    from marey.engine.runtimes.catalog import FORMS

    return _beginning(incomplete, (form.name for form in FORMS))


def repositories(incomplete: str) -> list[str]:
    """Names of code bases whose checkpoints are known."""
    from marey.convert.repositories import REPOSITORIES

    return _beginning(incomplete, (one.name for one in REPOSITORIES))


def datasets(incomplete: str) -> list[str]:
    """Names of data sets."""
    from marey.data.datasets.catalog import DATASETS

    return _beginning(incomplete, (one.name for one in DATASETS))


def _keys(cls: type) -> list[str]:
    return [field.name for field in fields(cls)]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
