"""Finding a recipe: by the name of a row, a YAML file, or the folder of a run."""

from __future__ import annotations

import difflib
from pathlib import Path

from marey.errors import RecipeError
from marey.recipes import demo, own_videos
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml

_MODULES = (own_videos, demo)


def rows() -> dict[str, Recipe]:
    """Name -> recipe, of all that come with marey."""
    values = (value for module in _MODULES for value in vars(module).values())
    return {value.name: value for value in values if isinstance(value, Recipe)}


def find(name: str | None) -> Recipe:
    """The recipe that `name` means; RecipeError suggests the nearest name."""
    known = rows()
    if name is None:
        raise RecipeError("which recipe?", f"known: {', '.join(sorted(known))}")
    if name in known:
        return known[name]
    path = Path(name)
    if path.is_dir():
        path = path / "recipe.yaml"
    if path.is_file():
        return from_yaml(Recipe, path.read_text(encoding="utf-8"), source=str(path))
    near = difflib.get_close_matches(name, known, n=1)
    raise RecipeError(
        f"no recipe or file '{name}'",
        f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}",
    )
