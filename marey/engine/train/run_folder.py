"""The folder of a run: what stands in it before the first step, and who may write there.

RUN/recipe.yaml  env.json  labels.txt  class_counts.json  bad_clips.csv
RUN/log.jsonl  metrics.csv  train.log
RUN/checkpoints/last.pt  best.pt (if an epoch is chosen)  epoch-0010.pt (if some are kept)
RUN/results/NAME/predictions.parquet  results.json

Nothing is written in place: a file is replaced by a whole one, and lines of a log are added at its
end and mended when the run goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from marey.data.manifest.classes import write_classes
from marey.data.manifest.manifest import Manifest
from marey.engine.environment import environment
from marey.engine.weights.checkpoint import has_trained
from marey.engine.weights.class_counts import write_class_counts
from marey.errors import RunError
from marey.jobs.cores import num_loaders
from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_readable_yaml
from marey.storage.atomic import make_folder, run_error, write_text, writing
from marey.storage.lock import locked_if_possible

training_error = partial(
    run_error,
    hint="free some space, or choose another folder (--work-dir); saved checkpoints are untouched",
)
"""What is raised where a file of the folder cannot be written."""


@contextmanager
def held(folder: Path) -> Iterator[str]:
    """Keep other trainings out of `folder` while the block runs; `Held` if one is in it.

    It gives a sentence to be said, if the disk has no locks. Evaluations of the run may go on.
    """
    make_folder(folder, training_error)
    with locked_if_possible(folder / ".lock", f"trains in {folder}") as note:
        yield note


def refuse_run(folder: Path) -> None:
    """RunError if `folder` holds runs that have trained; one that never has is begun anew."""
    if below := sorted({path.parents[1].name for path in folder.glob("*/checkpoints/*.pt")}):
        raise RunError(
            f"{folder} holds runs of its own: {', '.join(below[:3])}{' ...' * (len(below) > 3)}",
            "the command that began them goes on with them (--folds, --seeds, marey sweep); a "
            "run of its own takes another folder (--work-dir)",
        )
    saved = [path for path in (folder / "checkpoints").glob("*.pt") if has_trained(path)]
    if not saved:
        return
    if not (folder / "checkpoints" / "last.pt").exists():
        raise RunError(
            f"{folder} holds a run without checkpoints/last.pt, so that it cannot go on",
            f"begin another run from its weights (--weights {saved[0]}), in another folder",
        )
    raise RunError(
        f"{folder} already holds a run",
        "go on with it (--resume), or give another folder (--work-dir)",
    )


def begin_run(folder: Path, recipe: Recipe, train_set: Manifest) -> None:
    """Write what stands in the folder before the first step, in place of an earlier beginning."""
    make_folder(folder / "checkpoints", training_error)
    with writing(folder, training_error):
        for name in ("checkpoints/last.pt", "bad_clips.csv"):
            (folder / name).unlink(missing_ok=True)
    write_about(folder, recipe, train_set)


def epoch_file(epoch: int) -> str:
    """The name of the checkpoint that is kept of an epoch.

    >>> epoch_file(10)
    'epoch-0010.pt'
    """
    return f"epoch-{epoch:04}.pt"


def keep_newest(folder: Path, number: int) -> None:
    """Delete the checkpoints of all epochs but the last `number` of those that are kept."""
    kept = {
        int(named[1]): path
        for path in (folder / "checkpoints").glob("epoch-*.pt")
        if (named := re.fullmatch(r"epoch-(\d{4,})\.pt", path.name))
    }
    with writing(folder, training_error):
        for epoch in sorted(kept)[:-number]:
            kept[epoch].unlink(missing_ok=True)


def write_about(folder: Path, recipe: Recipe, train_set: Manifest) -> None:
    """Write what a run says of itself, in place of what its folder said before.

    A best.pt of before goes where no epoch is to be chosen any more. RecipeError, and nothing is
    written, if the recipe could not be read back from it.
    """
    text = to_readable_yaml(recipe, str(folder / "recipe.yaml"))
    write_text(folder / "recipe.yaml", text, training_error)
    if not recipe.save_best:
        with writing(folder, training_error):
            (folder / "checkpoints" / "best.pt").unlink(missing_ok=True)
    made_with = environment() | {"workers": str(num_loaders(recipe.data.workers))}
    write_text(folder / "env.json", json.dumps(made_with, indent=1), training_error)
    write_classes(train_set.classes, folder, training_error)
    write_class_counts({head: train_set.class_counts(head) for head in train_set.labels}, folder)
