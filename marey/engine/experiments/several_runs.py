"""What the runs of one folder have in common, kept so that others are not mixed with them.

    RUN/recipe.yaml    what is trained
    RUN/runs.json      what the runs differ in, and which clips they are of

A folder of an earlier marey has no runs.json: its clips are taken to be those of now.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from marey.data.manifest.join import read_manifests
from marey.data.manifest.manifest import Manifest
from marey.engine.train.changes import differences
from marey.engine.train.run_folder import training_error
from marey.engine.train.saved import DataFacts, data_facts
from marey.engine.weights.checkpoint import last_checkpoint
from marey.engine.weights.clip_facts import ClipFacts, clip_facts, what_changed
from marey.errors import RecipeError, RunError
from marey.recipes.recipe import Recipe
from marey.recipes.resolve import read_data
from marey.recipes.schema import from_yaml, to_readable_yaml
from marey.storage.atomic import make_folder, write_text
from marey.storage.text_files import as_value, read_json, read_text, write_json

TRIAL = "trial.json"
"""What a run of a sweep came to; there where it failed, too."""
FILE = "runs.json"
Kind: TypeAlias = Literal["folds", "seeds", "folds by seeds", "trials", "trials by folds"]
"""What the runs differ in."""
_FREE = ("data.workers", "data.clip_seconds")
"""What changes no number."""


@dataclass(frozen=True, kw_only=True)
class Common:
    """What the runs of a folder have in common beside their recipe.

    Args:
        kind: what they differ in.
        data: their clips; those of all folds are in `train`.
        folds: the digest of the folds, where each is trained.
    """

    kind: Kind
    data: DataFacts
    folds: str = ""


def begin_runs(work_dir: Path, recipe: Recipe, kind: Kind) -> None:
    """Write what several runs have in common; RunError if the folder holds others, or a run itself.

    That of a start after which nothing was saved gives way.
    """
    path, text = work_dir / "recipe.yaml", to_readable_yaml(recipe, str(work_dir / "recipe.yaml"))
    if last_checkpoint(work_dir):
        raise RunError(f"{work_dir} holds a run", "give another --work-dir")
    now = _common(recipe, kind)
    has_runs = any(any(work_dir.rglob(name)) for name in ("checkpoints/*.pt", TRIAL))
    if has_runs and (known := read_text(path)):
        before = from_yaml(Recipe, known, source=str(path))
        if changed := [each for each in differences(before, recipe) if not each.touches(_FREE)]:
            raise RunError(
                f"{work_dir} holds runs of another recipe: {', '.join(map(str, changed))}",
                "give another --work-dir, or the recipe as it was",
            )
    if has_runs and (facts := read_json(work_dir / FILE)):
        _refuse_others(work_dir, as_value(Common, facts, work_dir / FILE), now)
    make_folder(work_dir, training_error)
    write_text(path, text, training_error)
    write_json(work_dir / FILE, now)


def clips_in_folds(recipe: Recipe) -> Manifest:
    """All clips to train on, whatever their fold; RecipeError if no manifest is named."""
    data = recipe.data
    if not data.train:
        raise RecipeError(
            "data.train names no manifest", "give the clips to train on (--manifest FILE)"
        )
    heads = {head.name: head.num_classes for head in recipe.model.heads} or None
    return read_manifests(data.train_lists, heads=heads, at=data.location)


def _common(recipe: Recipe, kind: Kind) -> Common:
    if "folds" not in kind:
        return Common(kind=kind, data=data_facts(*read_data(recipe)))
    clips = clips_in_folds(recipe)
    folds = b"" if clips.folds is None else np.ascontiguousarray(clips.folds, np.int64).tobytes()
    digest = hashlib.sha256(folds).hexdigest()
    return Common(kind=kind, data=DataFacts(clip_facts(clips)), folds=digest)


def _refuse_others(work_dir: Path, before: Common, now: Common) -> None:
    """RunError if runs of `now` would stand beside other ones."""
    if before.kind != now.kind:
        raise RunError(
            f"{work_dir} holds {before.kind}, and {now.kind} are asked for",
            "give another --work-dir, or --folds and --seeds as before",
        )
    nothing = ClipFacts(0)
    changed = {
        "training clips": what_changed(before.data.train, now.data.train),
        "validation clips": what_changed(before.data.val or nothing, now.data.val or nothing),
        "folds": "" if before.folds == now.folds else "clips are in other ones",
    }
    for what, change in changed.items():
        if change:
            raise RunError(
                f"the {what} changed since the runs in {work_dir}: {change}",
                "put them back, or give another --work-dir",
            )
