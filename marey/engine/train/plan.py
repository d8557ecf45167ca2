"""What `marey train` is asked for, in words and values, as a recipe and the folder of its run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from marey.engine.train.choose import choose
from marey.engine.train.distributed import find_ranks
from marey.engine.weights.checkpoint import last_checkpoint
from marey.engine.weights.origin import read_run_recipe
from marey.errors import RecipeError, RunError
from marey.jobs.parts import Progress
from marey.recipes.catalog import find
from marey.recipes.recipe import Recipe
from marey.recipes.short_names import spelled_out
from marey.recipes.val_views import following_test, override_with_val
from marey.recipes.yaml_text import parse_change


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked for.

    Args:
        recipe: a recipe, its name, a YAML file, the folder of a run or release; None chooses one by
            the manifests, or takes that of the run that goes on.
        manifests: the clips to train on; by default those of the recipe.
        changes: ``key=value``, short names among them.
        weights: to start from: a file, run or release, or "imagenet"; by default the recipe's.
        from_scratch: start from nothing.
        work_dir: the folder of the run; by default runs/NAME.
        resume: the checkpoint to go on from, or the "latest" of the run.
        device: "cpu", "cuda" ...
        words: what else stood on the command line.
    """

    recipe: Recipe | str | None = None
    manifests: Sequence[str] = ()
    changes: Sequence[str] = ()
    weights: str | None = None
    from_scratch: bool = False
    work_dir: Path | None = None
    resume: Path | Literal["latest"] | None = None
    device: str | None = None
    words: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run as it is to begin or go on; `notes` say why it is this recipe."""

    recipe: Recipe
    work_dir: Path
    resume: Path | None = None
    notes: tuple[str, ...] = ()


def plan(asked: Asked, *, progress: Progress | None = None) -> Plan:
    """The run that is asked for; where no recipe is named one is chosen, and `notes` say why.

    Args:
        asked: what is asked for.
        progress: called with clips (done, total) that are opened to choose a recipe.

    Raises:
        RecipeError: the recipe is not there, cannot be changed so, or none can be chosen.
        RunError: there is no run to go on with.
        ManifestError: the manifests cannot be read.
    """
    if asked.from_scratch and asked.weights is not None:
        raise RecipeError(
            f"weights '{asked.weights}' to start from, and from scratch", "leave out one of the two"
        )
    if asked.resume is not None:
        return _going_on(asked)
    if asked.recipe is not None:
        return _named(asked, following_test(_found(asked.recipe)), _changes(asked))
    if asked.manifests:
        return _chosen(asked, progress)
    if asked.work_dir is not None:
        return _named(asked, following_test(read_run_recipe(asked.work_dir)), _changes(asked))
    raise RecipeError(
        "which recipe, or which clips to choose one for?",
        "name a recipe (marey recipes lists them), or clips that it is to suit (--manifest FILE)",
    )


def as_changes(values: Mapping[str, object]) -> list[str]:
    """Values that are given, as `key=value` in YAML; None is not given."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items() if value is not None]


_LISTS = (".csv", ".tsv", ".parquet", ".arrow", ".jsonl")
"""Endings of manifests."""


def _found(recipe: Recipe | str) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    if recipe.endswith(_LISTS):
        raise RecipeError(
            f"{recipe} is a list of clips, no recipe",
            f"give it as the clips to train on (--manifest {recipe})",
        )
    return find(recipe)


def _named(asked: Asked, recipe: Recipe, changes: Sequence[str]) -> Plan:
    _refuse_two(recipe, asked)
    work_dir = asked.work_dir or Path("runs") / recipe.name
    return Plan(recipe=override_with_val(recipe, changes), work_dir=work_dir)


def _changes(asked: Asked) -> list[str]:
    """All changes of a recipe that has a name: those of its data and weights as well."""
    start = "" if asked.from_scratch else asked.weights
    return [*asked.changes, *as_changes({"weights": start}), *_data(asked)]


def _refuse_two(recipe: Recipe, asked: Asked) -> None:
    """RecipeError if two of the changes give one key different values, options among them.

    One that stands for several keys, as size=64, may be followed by what says more of one.
    """
    said: dict[str, str] = {}
    for change in _changes(asked):
        (key, _, value), *more = (full.partition("=") for full in spelled_out(recipe, [change]))
        if more:
            continue
        same = said.setdefault(key, change)
        if _value(key, same.partition("=")[2]) != _value(key, value):
            raise RecipeError(f"{same} and {change} are both given", "leave out one of the two")


def _value(key: str, text: str) -> object:
    """What stands behind the sign of a change; nothing is no text."""
    value = parse_change(text, key)
    return "" if value is None else value


def _data(asked: Asked) -> list[str]:
    if not asked.manifests:
        return []
    first, *more = asked.manifests
    return as_changes({"data.train": first, "data.more": more})


def _chosen(asked: Asked, progress: Progress | None) -> Plan:
    """The recipe that suits the clips."""
    if (size := find_ranks(os.environ).size) > 1:
        raise RecipeError(
            f"which recipe? {size} processes do not choose one",
            f"marey recipes suggest {asked.manifests[0]} says which, and the line",
        )
    suggestion = choose(
        asked.manifests,
        device=asked.device,
        weights=asked.weights,
        given=asked.changes,
        from_scratch=asked.from_scratch,
        progress=progress,
    )
    recipe = following_test(find(suggestion.base))
    made = _named(asked, recipe, [*suggestion.changes, *_data(asked)])
    again = f"again: {suggestion.command(*asked.words)}"
    return replace(made, notes=(*suggestion.lines(), again))


def _going_on(asked: Asked) -> Plan:
    """The run that has begun, by its own recipe unless another is given."""
    named, folder = asked.recipe, asked.work_dir
    checkpoint = None if asked.resume == "latest" else asked.resume
    if isinstance(named, str) and folder is None and checkpoint is None and Path(named).is_dir():
        folder, named = Path(named), None
    given = None if named is None else _found(named)
    if folder is None and checkpoint is not None:
        folder = checkpoint.parent.parent
    elif folder is None and given is not None:
        folder = Path("runs") / given.name
    elif folder is None:
        raise RunError("which run is to go on?", "give its folder (--work-dir RUN)")
    checkpoint = checkpoint or last_checkpoint(folder)
    recipe = given or read_run_recipe(folder)
    if given is not None and checkpoint and not recipe.data.train:
        recipe = replace(recipe, data=read_run_recipe(folder).data)
    _refuse_two(recipe, asked)
    recipe = override_with_val(recipe, _changes(asked))
    nothing = f"nothing is saved in {folder} yet: starting from the beginning"
    notes = () if checkpoint else (nothing,)
    return Plan(recipe=recipe, work_dir=folder, resume=checkpoint, notes=notes)
