"""The test at the end of a run, where it is asked for: its weights, by the test views.

What is compared with a published number is this one, or that of `marey eval`, which writes the
same; the numbers of metrics.csv are those of the views that validate.
"""

from __future__ import annotations

from pathlib import Path

from marey.data.manifest.join import read_manifests
from marey.engine.inference.evaluate_run import EvalOptions
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.results import write_results
from marey.engine.train.distributed import World
from marey.engine.train.run_log import RunLog
from marey.engine.train.stop_signals import StopAsked, StopFlag, Stopped
from marey.engine.train.validation import evaluate_together
from marey.engine.weights.origin import origin_of
from marey.errors import RecipeError, counted
from marey.metrics.catalog import headlines
from marey.recipes.recipe import Recipe
from marey.recipes.resolve import dealt
from marey.recipes.val_views import views_in_words
from marey.storage.atomic import make_folder, run_error
from marey.storage.lock import locked_if_possible


def split_to_test(recipe: Recipe) -> str:
    """The first of `splits_to_test`; RecipeError where there is none."""
    if found := splits_to_test(recipe):
        return found[0]
    raise RecipeError(
        f"{', '.join(recipe.data.val_lists)} has no clips to test on, of split test or val",
        "train without a test at the end (--test), or give data.val=MANIFEST",
    )


def splits_to_test(recipe: Recipe) -> list[str]:
    """The splits, test before val, of clips that a run does not learn from.

    A manifest without splits is one of `val` clips where it is not that of training.
    """
    data = recipe.data
    counts = dealt(read_manifests(data.val_lists, at=data.location), data).split_counts()
    if not counts and data.val_lists != data.train_lists:
        return ["val"]
    return [split for split in ("test", "val") if split in counts]


def write_test(folder: Path, split: str, *, world: World, stop: StopFlag, log: RunLog) -> None:
    """Test the weights of the run by all processes; process 0 writes results/SPLIT.

    They are those of the epoch that validation chose, if it was to choose one, else the last.
    Stopped in all processes if one is asked to stop; the run itself is saved.
    """
    with world.together():
        job = EvalOptions(folder=folder, split=split).load(str(world.device))
    file = origin_of(folder).file
    log.say(
        f"testing {file.relative_to(folder)} on split {split}: "
        f"{counted(len(job.manifest), 'clip')} x {views_in_words(job.recipe.test)}"
    )
    try:
        with stop.at_once(alone=world.is_alone):
            found = evaluate_together(
                job.scorer,
                job.manifest,
                job.recipe,
                trained_on=TrainingCounts(job.trained.class_counts),
                world=world,
                stop=stop,
            )
    except StopAsked:
        raise Stopped(folder) from None
    with world.together():
        if found is None:
            return
        out = folder / "results" / split
        make_folder(out, run_error)
        with locked_if_possible(out / ".lock", f"evaluates into {out}"):
            results = job.results(found)
            path = write_results(found, out, results)
    numbers = [
        f"{named.title} {named.metric.text(found.metrics[key])}"
        for key, named in headlines(found.metrics).items()
    ]
    log.say(
        f"tested: {', '.join(numbers)}; {counted(len(found.missing), 'clip')} unreadable; {path}"
    )
    if results.caution:
        log.say(f"warning: {results.caution}")
