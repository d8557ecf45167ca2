"""The folder of a run: what stands in it before the first step, and the clips it could not read.

RUN/recipe.yaml  env.json  labels.txt  class_counts.json  bad_clips.csv
RUN/log.jsonl  metrics.csv  train.log
RUN/checkpoints/last.pt  best.pt      RUN/results/NAME/predictions.parquet  results.json
"""

from __future__ import annotations

import json
from pathlib import Path

from marey.data.manifest.classes import write_classes
from marey.data.manifest.manifest import Manifest
from marey.engine.environment import environment
from marey.engine.weights.checkpoint import last_checkpoint
from marey.engine.weights.class_counts import write_class_counts
from marey.errors import RunError
from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_yaml
from marey.storage.atomic import run_errors


def open_run(folder: Path, recipe: Recipe, train_set: Manifest, *, resume: bool) -> None:
    """Make the folder of a run, or see that it is the one to resume; never overwrites a run."""
    if last_checkpoint(folder) and not resume:
        raise RunError(
            f"{folder} already holds a run", "go on with --resume, or give another --work-dir"
        )
    with run_errors(folder):
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
        (folder / "env.json").write_text(json.dumps(environment(), indent=1), encoding="utf-8")
    write_classes(train_set.classes, folder)
    write_class_counts({head: train_set.class_counts(head) for head in train_set.labels}, folder)
