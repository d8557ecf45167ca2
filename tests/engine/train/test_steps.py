"""Batches that the clips of an epoch can fill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marey.data.manifest.manifest import Manifest
from marey.engine.train.distributed import World
from marey.engine.train.steps import check_steps, fitting_batch
from marey.errors import RecipeError
from marey.recipes.recipe import Recipe
from tests.tiny import tiny_recipe


def clips(number: int) -> Manifest:
    columns = {"path": [f"{i}.mp4" for i in range(number)], "label": [i % 2 for i in range(number)]}
    return Manifest.from_columns(Path("m.csv"), Path(), columns, {"label": ("a", "b")})


@pytest.mark.parametrize(
    ("number", "size", "accumulate", "processes", "fitting"),
    [
        (54, 64, 1, 1, (54, 1)),
        (64, 64, 1, 1, (64, 1)),
        (54, 64, 1, 4, (13, 1)),
        (54, 8, 8, 1, (6, 8)),
        (5, 8, 8, 1, (1, 5)),
        (54, 32, 1, 1, (32, 1)),
    ],
)
def test_batches_shrink_to_the_clips(
    number: int, size: int, accumulate: int, processes: int, fitting: tuple[int, int]
) -> None:
    recipe = replace(tiny_recipe(Path("m.csv")), batch_size=size, accumulate=accumulate)
    world = World(size=processes)
    found, said = fitting_batch(recipe, clips(number), world)
    assert (found.batch_size, found.accumulate) == fitting
    assert (f"an epoch has {number} clips" in said) == (found != recipe)
    check_steps(found, clips(number), world)


def test_fewer_clips_than_processes_stay_a_fault() -> None:
    recipe: Recipe = tiny_recipe(Path("m.csv"))
    found, said = fitting_batch(recipe, clips(2), World(size=3))
    assert (found, said) == (recipe, "")
    with pytest.raises(RecipeError, match="use fewer processes"):
        check_steps(found, clips(2), World(size=3))
