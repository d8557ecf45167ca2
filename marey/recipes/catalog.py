"""Finding a recipe: by the name of a row, a YAML file, or the folder of a run or release.

A plus sign and a word after any of them add a second stage: ``tsm-r18+crt``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from marey.errors import RecipeError, did_you_mean
from marey.recipes import ensembles as ensemble_rows
from marey.recipes.ensembles import ensembles
from marey.recipes.longtail import SECOND_STAGES
from marey.recipes.recipe import Recipe
from marey.recipes.release import CONFIG, going_on_from
from marey.recipes.schema import from_yaml
from marey.storage.text_files import read_text

_FILES = (
    *("own_videos", "features", "demo", "tsn", "tsm", "gc", "ecal", "gst", "tdn", "blvnet", "arp"),
    *("motionformer", "lmr", "videolt"),
)
_MODULES = tuple(import_module(f"marey.recipes.{file}") for file in _FILES)
"""Where rows stand, in the order in which they are listed."""


def rows() -> dict[str, Recipe]:
    """Name -> recipe, of all that come with marey."""
    return {recipe.name: recipe for module in _MODULES for recipe in _of(module)}


def rows_in(*files: str) -> dict[str, Recipe]:
    """Name -> recipe, of the rows of some files: ``rows_in("tsm", "gc")``."""
    wanted = {f"marey.recipes.{file}" for file in files}
    modules = [module for module in _MODULES if module.__name__ in wanted]
    return {recipe.name: recipe for module in modules for recipe in _of(module)}


def groups() -> dict[str, dict[str, Recipe]]:
    """The recipes of each file, under its title."""
    return {
        (module.__doc__ or "").splitlines()[0].rstrip("."): {r.name: r for r in _of(module)}
        for module in _MODULES
    }


def deviations(name: str) -> str:
    """What the rows of this recipe's file do otherwise than what was published; empty for none.

    `name` may be that of an ensemble.
    """
    of_one_model = (module for module in _MODULES if name in {r.name for r in _of(module)})
    module = ensemble_rows if name in ensembles() else next(of_one_model)
    paragraphs = (module.__doc__ or "").split("\n\n")
    deviations = (" ".join(text.split()) for text in paragraphs if text.startswith("**Deviates**"))
    return next(deviations, "").removeprefix("**Deviates**: ")


def find(name: str | None) -> Recipe:
    """The recipe that `name` means.

    Args:
        name: that of a row (`marey recipes` lists them), a YAML file, the folder of a run, or that
            of a release, whose weights it then starts from; a plus sign and a word add a second
            stage.

    Raises:
        RecipeError: there is none; suggests the nearest name. An ensemble is no recipe.

    >>> find("tsm-r18+crt").stages[1].trainable
    'heads'
    """
    if name in ensembles():
        members = " and ".join(member.name for member in ensembles()[name].members)
        raise RecipeError(
            f"'{name}' is an ensemble: of {members}, each trained on its own",
            f"marey recipes show {name} has the commands",
        )
    base, plus, second = (name or "").rpartition("+")
    if plus and not Path(name or "").exists():
        return _second_stage(base, second)(find(base))
    known = rows()
    if name is None:
        raise RecipeError("which recipe?", "marey recipes lists them")
    if name in known:
        return known[name]
    path = Path(name)
    if (path / CONFIG).is_file():
        return going_on_from(path)
    if path.is_dir():
        path = path / "recipe.yaml"
    if path.is_file():
        return from_yaml(Recipe, read_text(path, RecipeError), source=str(path))
    raise RecipeError(
        f"no recipe or file '{name}'",
        did_you_mean(
            name, known | ensembles(), otherwise="marey recipes lists those that there are"
        ),
    )


def _second_stage(base: str, word: str) -> Callable[[Recipe], Recipe]:
    if word not in SECOND_STAGES:
        unknown = did_you_mean(word, SECOND_STAGES)
        near = did_you_mean(f"{base}+{word}", ensembles(), otherwise=unknown)
        raise RecipeError(f"no second stage '{word}'", near)
    return SECOND_STAGES[word]


def _of(module: ModuleType) -> Iterator[Recipe]:
    """The recipes that are names of the module, or in its tuple of rows."""
    for value in vars(module).values():
        if isinstance(value, Recipe):
            yield value
        elif isinstance(value, tuple) and value and isinstance(value[0], Recipe):
            yield from value
