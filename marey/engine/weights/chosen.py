"""Which weights of a run its checkpoint holds, and what chose them: read from what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from marey.engine.results_file import Chosen
from marey.errors import CheckpointError
from marey.metrics.catalog import find_metric
from marey.recipes.recipe import Recipe
from marey.recipes.release import CHOSEN, CONFIG
from marey.recipes.yaml_text import parse_yaml
from marey.storage.text_files import as_value, read_json

VAL = "val"
"""The split that validates."""


def as_it_chose(recipe: Recipe, text: str, *, validates: bool) -> Recipe:
    """`recipe`, read from the `text` of a run, with the choice that its marey made.

    Before there was `smooth` an epoch was chosen in every run that `validates`: by single
    validations and, where the recipe named no metric, by mean average precision or top-1.
    """
    if re.search(r"^smooth:", text, re.MULTILINE):
        return recipe
    several = [head.several for head in recipe.model.heads]
    otherwise = "mAP" if several == [True] else "" if any(several) else "acc/top1"
    by = (recipe.save_best or otherwise) if validates else ""
    return replace(recipe, save_best=by, smooth=1)


def validated(facts: Mapping[str, Any]) -> bool:
    """Whether the run whose checkpoint says this had clips to validate on; if unknown it had."""
    data = facts.get("data")
    return not isinstance(data, dict) or data.get("val") is not None


def chosen_in(file: Path, facts: Mapping[str, Any], recipe: Recipe) -> Chosen:
    """What chose the weights in a checkpoint of a run.

    Args:
        file: a checkpoint called best is one that was chosen.
        facts: what it says beside its tensors.
        recipe: of the run; that of the checkpoint itself counts where they differ.
    """
    progress, rows = facts.get("progress"), facts.get("epochs") or [{}]
    if not isinstance(progress, dict):
        return Chosen()
    own = parse_yaml(str(facts.get("recipe", "")), str(file)) or {}
    stages = [int(stage.get("epochs", 0)) for stage in own.get("stages", ())]
    at, epoch = int(progress.get("stage", 0)), int(progress.get("epoch", 0))
    done = rows[-1].get("epoch", sum(stages[:at]) + min(epoch, *stages[at : at + 1], epoch))
    steps = [stage.get("max_steps") for stage in own.get("stages", ())]
    is_stopped = epoch < sum(stages[at : at + 1])
    if most := next(iter(steps[at : at + 1]), None):
        taken = int(progress.get("global_step", 0)) - int(progress.get("began", 0))
        is_stopped = taken < int(most) or int(progress.get("step", 0)) > 0
    patience = own.get("patience")
    out_of_patience = bool(patience) and progress.get("since_best", 0) >= patience
    is_over = at + 1 >= len(stages) and (not is_stopped or out_of_patience)
    by = own["save_best"] if "smooth" in own else recipe.save_best
    data = facts.get("data") if isinstance(facts.get("data"), dict) else {}
    found = Chosen(
        how="end" if is_over else "underway",
        epoch=int(done),
        epochs=sum(stages) if not any(steps) else int(done) if is_over else None,
        averaged=own.get("ema") is not None,
        trained_on=_clips(data, "train"),
    )
    if file.stem == "best" and by and validated(facts):
        found = replace(found, how="best")
    elif is_over and is_stopped:
        found = replace(found, how="patience")
    if found.how not in ("best", "patience"):
        return found
    named = find_metric(by or "loss")
    return replace(
        found,
        by=named.column if named else by,
        on=VAL,
        smooth=int(own.get("smooth", 1)),
        clips=_clips(data, VAL),
    )


def read_chosen(folder: Path) -> Chosen:
    """What the release in `folder` says of it; nothing in one of an earlier marey."""
    path, hint = folder / CONFIG, "get the release again"
    said = read_json(path, CheckpointError, hint).get(CHOSEN, {})
    return as_value(Chosen, said, path, CheckpointError, hint)


def _clips(data: Mapping[str, Any] | None, split: str) -> str:
    facts = (data or {}).get(split)
    return str(facts.get("clips", "")) if isinstance(facts, dict) else ""
