"""The folder of a run: what stands in it before the first step, and the clips it could not read.

RUN/recipe.yaml  env.json  labels.txt  class_counts.json  bad_clips.csv
RUN/log.jsonl  metrics.csv  train.log
RUN/checkpoints/last.pt  best.pt      RUN/results/NAME/predictions.parquet  results.json
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from marey.data.manifest.classes import write_classes
from marey.data.manifest.manifest import Manifest
from marey.engine.environment import environment
from marey.engine.weights.checkpoint import last_checkpoint
from marey.engine.weights.class_counts import write_class_counts
from marey.errors import RunError
from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_readable_yaml
from marey.storage.atomic import make_folder, run_error, write_text

training_error = partial(
    run_error,
    hint="free some space or choose another --work-dir; saved checkpoints are untouched",
)
"""What is raised where a file of the folder cannot be written."""


def open_run(folder: Path, recipe: Recipe, train_set: Manifest, *, resume: bool) -> None:
    """Make the folder of a run, or see that it is the one to resume; never overwrites a run.

    RecipeError, and no folder is made, if the recipe could not be read back from it.
    """
    text = to_readable_yaml(recipe, str(folder / "recipe.yaml"))
    if last_checkpoint(folder) and not resume:
        raise RunError(
            f"{folder} already holds a run", "go on with --resume, or give another --work-dir"
        )
    make_folder(folder / "checkpoints", training_error)
    write_text(folder / "recipe.yaml", text, training_error)
    write_text(folder / "env.json", json.dumps(environment(), indent=1), training_error)
    write_classes(train_set.classes, folder, training_error)
    write_class_counts({head: train_set.class_counts(head) for head in train_set.labels}, folder)
