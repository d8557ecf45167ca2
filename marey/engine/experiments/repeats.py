"""One recipe trained several times: once for each fold of the clips, by several seeds, or both.

    RUN/recipe.yaml  runs.json     what is trained, on which clips
    RUN/fold-0/  fold-1/ ...       a run each, tested on its own fold into results/val
    RUN/seed-0/  seed-1/ ...       a run each or, with folds, such a folder each
    RUN/results/val/               the summary: results.json and, of folds, predictions.parquet

What is finished is not repeated, and what was begun goes on, so that the same command ends what was
interrupted. A fold may as well be trained elsewhere, as RUN/fold-3 with `data.fold=3`.

The predictions of folds are pooled: every clip was scored by a model that never saw it, and the
interval of their number is that of so many clips. The mean over folds has Student's interval, which
takes folds for independent. They share most of their training clips, so that no unbiased estimate
of their variance exists (Bengio and Grandvalet 2004, JMLR 5).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.engine.environment import default_device
from marey.engine.experiments.several_runs import Kind, begin_runs, clips_in_folds
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.results import results_of_clips, write_results
from marey.engine.inference.stored import DUMP, read_stored
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import RepeatedRun, Repeats, Results, Spread, read_results
from marey.engine.train.distributed import find_ranks
from marey.engine.train.loop import train
from marey.engine.train.run_folder import held, training_error
from marey.engine.weights.checkpoint import last_checkpoint
from marey.engine.weights.origin import read_run_recipe
from marey.errors import RecipeError, RunError
from marey.metrics.catalog import find_metric
from marey.metrics.intervals import Estimate
from marey.metrics.student import mean_interval
from marey.recipes.recipe import Recipe
from marey.recipes.resolve import read_data
from marey.storage.atomic import make_folder, run_error

SUMMARY = Path("results", "val", RESULTS)
"""In the folder of one run, of folds and of seeds alike."""


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """How a recipe is trained several times.

    Args:
        folds: once for each fold of the column `fold` of its manifest, which it is tested on.
        seeds: so many times from the recipe's seed on.
        device: "cpu", "cuda" ...; by default the GPU if there is one.
        quiet: print nothing.
        trackers: what each run is told to besides its own files.
        say: gets a line before each run.
    """

    folds: bool = False
    seeds: int = 1
    device: str | None = None
    quiet: bool = False
    trackers: Sequence[str] = ()
    say: Callable[[str], None] = print

    @property
    def kind(self) -> Kind:
        """What the runs differ in."""
        if self.folds:
            return "folds" if self.seeds == 1 else "folds by seeds"
        return "seeds"


def train_repeatedly(recipe: Recipe, work_dir: Path, how: Repetition) -> Results:
    """The summary of the runs of `recipe`, which is in `work_dir` then, with all of them.

    Raises:
        RecipeError: the recipe names a fold already, or validates on nothing.
        ManifestError: there are no folds.
        RunError: the folder holds runs of another recipe or other clips, or this is one process of
            several; or as `marey.engine.train.loop.train`, as the other errors.
        Stopped: after Ctrl-C or SIGTERM; the same call goes on.
    """
    if find_ranks(os.environ).size > 1:
        raise RunError(
            "folds and seeds are trained one after the other, by one process",
            "start it without torchrun or srun; or train each yourself: data.fold=0 --work-dir "
            f"{work_dir / 'fold-0'}, and sum up by this command",
        )
    if how.folds and recipe.data.fold is not None:
        raise RecipeError(f"data.fold is {recipe.data.fold}, but all folds are to be trained")
    if how.folds and recipe.data.val_lists != recipe.data.train_lists:
        raise RecipeError(
            f"data.val is {recipe.data.val}, but folds validate on the clips to train on",
            "leave out --val-manifest",
        )
    if not how.folds:
        check_validates(recipe)
    with held(work_dir):
        begin_runs(work_dir, recipe, how.kind)
        one = _folds if how.folds else _one_run
        return one(recipe, work_dir, how) if how.seeds == 1 else _seeds(recipe, work_dir, how, one)


def check_validates(recipe: Recipe) -> None:
    """RecipeError if no clips validate what is trained."""
    if read_data(recipe)[1] is None:
        raise RecipeError(
            "runs are compared by their validation, but there are no clips to validate on",
            "clips of split val in the manifest, --val-manifest, or --folds",
        )


def _one_run(recipe: Recipe, folder: Path, how: Repetition) -> Results:
    """The test of one run on what it validates on; it is trained if it is not yet."""
    if (folder / SUMMARY).is_file():
        return read_results(folder / SUMMARY)
    resume = last_checkpoint(folder)
    train(recipe, folder, resume=resume, device=how.device, quiet=how.quiet, trackers=how.trackers)
    device = how.device or default_device()
    evaluate_folder(EvalOptions(folder=folder, device=device), (folder / SUMMARY).parent)
    return read_results(folder / SUMMARY)


def _seeds(recipe: Recipe, work_dir: Path, how: Repetition, one: Callable[..., Results]) -> Results:
    """The means over runs by several seeds."""
    runs = {}
    for number in range(how.seeds):
        name, seed = f"seed-{number}", recipe.seed + number
        how.say(f"{work_dir / name}: seed {seed}, {number + 1} of {how.seeds}")
        make_folder(work_dir / name, training_error)
        runs[name] = one(replace(recipe, seed=seed), work_dir / name, how)
        recipe = replace(recipe, amp=_precision(recipe, work_dir / name))
    first = next(iter(runs.values()))
    for name, results in runs.items():
        if results.data_hash != first.data_hash:
            raise _other_clips(work_dir / name)
    results = replace(
        first,
        metrics=_means([each.metrics for each in runs.values()]),
        estimates={
            head: {
                key: _mean_estimate([r.estimates[head][key] for r in runs.values()]) for key in of
            }
            for head, of in first.estimates.items()
        },
        metrics_readable={},
        metrics_by_source={},
        missing=(),
        repeats=_repeats("seeds", runs),
    )
    make_folder((work_dir / SUMMARY).parent, run_error)
    results.write((work_dir / SUMMARY).parent)
    return results


def _folds(recipe: Recipe, work_dir: Path, how: Repetition) -> Results:
    """The pooled test of a run for each fold."""
    clips = clips_in_folds(recipe)
    numbers = [*clips.fold_counts()] or [0]
    clips.with_fold(numbers[0])  # which says how folds are made, where there are none
    if len(numbers) == 1:
        raise RunError(f"{clips.source} has one fold, {numbers[0]}, and nothing to train on")
    runs = {}
    for done, number in enumerate(numbers):
        name = f"fold-{number}"
        how.say(f"{work_dir / name}: fold {number}, {done + 1} of {len(numbers)}")
        of_fold = replace(recipe, data=replace(recipe.data, fold=number))
        runs[name] = _one_run(of_fold, work_dir / name, how)
        recipe = replace(recipe, amp=_precision(recipe, work_dir / name))
    pooled = _pooled(clips, {n: work_dir / f"fold-{n}" for n in numbers})
    first = next(iter(runs.values()))
    about = ("protocol", "views", "other_segments", "model", "parameters", "decoder", "split")
    roles = {each.role for each in runs.values()}
    results = replace(
        results_of_clips(pooled),
        **{name: getattr(first, name) for name in (*about, "gmacs_per_view", "gmacs_total")},
        role="choice" if "choice" in roles else "",
        repeats=_repeats("folds", runs),
    )
    make_folder((work_dir / SUMMARY).parent, run_error)
    write_results(pooled, (work_dir / SUMMARY).parent, results)
    return results


def _precision(recipe: Recipe, folder: Path) -> bool | Literal["auto"]:
    """The `amp` that the first run below `folder` chose: those that are compared all have it."""
    runs = sorted(folder.rglob("checkpoints")) if recipe.amp == "auto" else []
    return read_run_recipe(runs[0].parent).amp if runs else recipe.amp


def _pooled(clips: Manifest, folders: Mapping[int, Path]) -> Evaluation:
    """The scores of all clips that are in a fold, each by the run that it was left out of."""
    assert clips.folds is not None
    rows = np.flatnonzero(clips.folds >= 0)
    place = np.full(len(clips), -1)
    place[rows] = np.arange(len(rows))
    pooled: Evaluation | None = None
    for number, folder in folders.items():
        stored = read_stored((folder / SUMMARY).with_name(DUMP))
        found, tested = stored.evaluation, clips.with_fold(number).rows_of("val")
        several = [head for head in found.scores if found.manifest.has_several(head)]
        whole = clips.with_several(several)
        if stored.facts.data_hash != whole.take(tested).digest():
            raise _other_clips(folder)
        if pooled is None:
            scores = {
                h: np.full((len(rows), s.shape[1]), np.nan, s.dtype)
                for h, s in found.scores.items()
            }
            taken = whole.take(rows)
            counts = TrainingCounts({head: taken.class_counts(head) for head in scores})
            pooled = replace(
                found, manifest=taken, scores=scores, missing={}, trained_on=counts, subsets={}
            )
        own = np.flatnonzero(clips.folds[tested] == number)  # without clips of no fold
        for head, values in found.scores.items():
            pooled.scores[head][place[tested[own]]] = values[own]
        pooled.missing.update(
            {
                int(place[tested[row]]): found.missing[row]
                for row in own.tolist()
                if row in found.missing
            }
        )
    assert pooled is not None
    return pooled


def _other_clips(folder: Path) -> RunError:
    return RunError(
        f"{folder} was tested on other clips than the manifest has now",
        f"put them back, or remove {folder}, which is then trained anew",
    )


def _repeats(kind: Literal["folds", "seeds"], runs: Mapping[str, Results]) -> Repeats:
    values = [each.metrics for each in runs.values()]
    keys = [key for key in values[0] if all(key in of for of in values)]
    return Repeats(
        kind=kind,
        runs=tuple(
            RepeatedRun(
                name=name, num_clips=each.num_clips, metrics=each.metrics, chosen=each.chosen
            )
            for name, each in runs.items()
        ),
        spread={key: spread(key, [of[key] for of in values]) for key in keys},
    )


def spread(key: str, values: Sequence[float]) -> Spread:
    """The mean of a number over runs, with its interval; a percentage stays one."""
    low, high = mean_interval(values)
    named = find_metric(key)
    if named and named.metric.unit == "%":
        low, high = max(low, 0.0), min(high, 100.0)
    return Spread(*(round(each, 4) for each in (math.fsum(values) / len(values), low, high)))


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {
        key: round(math.fsum(of[key] for of in values) / len(values), 4)
        for key in values[0]
        if all(key in of for of in values)
    }


def _mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """The mean number, between the mean ends of the intervals: what so many clips leave open."""
    ends = ((each.value, each.low, each.high) for each in estimates)
    value, low, high = (round(math.fsum(of) / len(estimates), 4) for of in zip(*ends, strict=True))
    return replace(estimates[0], value=value, low=low, high=high)
