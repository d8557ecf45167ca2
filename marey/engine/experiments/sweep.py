"""A sweep: a recipe trained with other values of some keys, and which of them did best.

    RUN/recipe.yaml  runs.json       what all trials have in common
    RUN/trial-000/  trial-001/ ...   a run each or, with folds, the folder of one a fold
    RUN/trial-000/trial.json         its values and its number, once it is done
    RUN/trials.csv                   all of them

The number of a trial is measured on validation clips, by the weights that it leaves. What is done
is kept, so that the same command, or one that asks for more trials, goes on. The best number of N
trials is better than another test of the same values would be: N of them were drawn, and the
luckiest was kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from marey.engine.experiments.repeats import (
    Repetition,
    check_validates,
    train_repeatedly,
)
from marey.engine.experiments.search_space import Axis, Point, Range, Values, drawn, grid
from marey.engine.experiments.several_runs import TRIAL, Kind, begin_runs
from marey.engine.train.epoch_table import read_epochs
from marey.engine.train.loop import train
from marey.engine.train.run_folder import held
from marey.engine.weights.checkpoint import last_checkpoint
from marey.engine.weights.origin import origin_of
from marey.errors import RecipeError, RunError, counted, did_you_mean
from marey.jobs.executors import HERE, Executor
from marey.jobs.processes import Lost
from marey.metrics.catalog import METRICS, Named, find_metric
from marey.recipes.recipe import Recipe
from marey.recipes.val_views import override_with_val
from marey.storage.atomic import make_folder, run_error, write_csv
from marey.storage.text_files import as_value, read_json, write_json

TABLE = "trials.csv"
LONGEST_SECONDS = 14 * 24 * 3600.0
"""That a trial may take where its process can be killed; systems wait for at most 2^31 ms."""
Search = Literal["grid", "random", "optuna"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial.

    Args:
        number: from 0.
        values: ``KEY=VALUE`` of what differs from trial to trial.
        metric: the name of its number.
        value: the number; NaN where it failed.
        epoch: the epoch of the weights that it is of; None with folds.
        fault: why it failed.
    """

    number: int
    values: Point
    metric: str
    value: float = math.nan
    epoch: int | None = None
    fault: str = ""

    @property
    def folder_name(self) -> str:
        """The folder of its run, in that of the sweep."""
        return f"trial-{self.number:03d}"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is tried.

    Args:
        recipe: what all trials have in common, with its data.
        axes: what differs.
        metric: of `metrics.csv`, by which trials are compared.
        trials: how many; by default all of a grid.
        search: "grid", "random" (points spread evenly), or "optuna", which learns from the trials
            before (tree-structured Parzen estimators); by default the grid where it has no more
            points than `trials`, else random.
        folds: whether a trial trains once for each fold, and its number is that of all clips.
        seed: of the points.
        device: of the trials.
    """

    recipe: Recipe
    axes: tuple[Axis, ...]
    metric: str
    trials: int | None = None
    search: Search | None = None
    folds: bool = False
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        if not self.axes:
            raise RecipeError(
                "nothing is to be tried", "give values: lr=0.001,0.01 or lr=1e-4..1e-2"
            )
        named = find_metric(self.metric)
        if named is None or named.metric.higher_is_better is None:
            known = [m.column or m.key for m in METRICS if m.higher_is_better is not None]
            raise RecipeError(
                f"metric is '{self.metric}', which is none", did_you_mean(self.metric, known)
            )

    @property
    def kind(self) -> Kind:
        """What its runs differ in."""
        return "trials by folds" if self.folds else "trials"

    @property
    def named(self) -> Named:
        """The metric."""
        named = find_metric(self.metric)
        assert named is not None
        return named

    @property
    def points(self) -> list[Point]:
        """What is tried, if that does not depend on what comes of it."""
        if self.search == "random" or (self.search is None and not self._is_small):
            return drawn(self.axes, self._num_trials, self.seed)
        points = grid(self.axes)
        return points if self.trials is None else points[: self.trials]

    @property
    def _is_small(self) -> bool:
        sizes = [len(axis.values) for axis in self.axes if isinstance(axis, Values)]
        is_grid = len(sizes) == len(self.axes)
        return is_grid and (self.trials is None or math.prod(sizes) <= self.trials)

    @property
    def _num_trials(self) -> int:
        if self.trials is None:
            return len(grid(self.axes))  # refuses ranges, and says what to do
        return self.trials


def run_sweep(
    sweep: Sweep, work_dir: Path, *, executor: Executor = HERE, say: Callable[[str], None] = print
) -> list[Trial]:
    """All trials, the best first, those that failed last; they are in `work_dir` then.

    Raises:
        RecipeError: values that a recipe cannot have; before anything is trained, but for optuna's.
        RunError: the folder holds another sweep, optuna is not there, or every trial failed.
        Stopped: after Ctrl-C or SIGTERM; the same call goes on.
    """
    if not sweep.folds:
        check_validates(sweep.recipe)
    with held(work_dir):
        if sweep.search == "optuna":
            begin_runs(work_dir, sweep.recipe, sweep.kind)
            trials = list(_learning(sweep, work_dir, say))
        else:
            planned = [
                Trial(number=number, values=point, metric=sweep.metric)
                for number, point in enumerate(sweep.points)
            ]
            for trial in planned:
                _job(sweep, work_dir, trial)  # refuses values that a recipe cannot have
            begin_runs(work_dir, sweep.recipe, sweep.kind)
            if sweep.trials and len(planned) < sweep.trials:
                there = counted(len(planned), "trial")
                say(f"{there}, not {sweep.trials}: there are no other values")
            trials = _made(sweep, work_dir, planned, executor, say)
        ranked = sorted(trials, key=lambda trial: _cost(sweep, trial))
        _write_table(work_dir, sweep, ranked)
    if all(trial.fault for trial in ranked):
        tried = counted(len(ranked), "trial")
        raise RunError(f"none of {tried} went well; the first: {ranked[0].fault}")
    return ranked


def _cost(sweep: Sweep, trial: Trial) -> float:
    if math.isnan(trial.value):
        return math.inf
    return -trial.value if sweep.named.metric.higher_is_better else trial.value


@dataclass(frozen=True, kw_only=True)
class _Job:
    """All that another process has to know to do a trial."""

    trial: Trial
    recipe: Recipe
    folder: Path
    folds: bool
    device: str | None


def _job(sweep: Sweep, work_dir: Path, trial: Trial) -> _Job:
    return _Job(
        trial=trial,
        recipe=override_with_val(sweep.recipe, trial.values),
        folder=work_dir / trial.folder_name,
        folds=sweep.folds,
        device=sweep.device,
    )


def _made(
    sweep: Sweep,
    work_dir: Path,
    planned: Sequence[Trial],
    executor: Executor,
    say: Callable[[str], None],
) -> list[Trial]:
    """The trials with their numbers; those that are done are read."""
    jobs = [_job(sweep, work_dir, trial) for trial in planned]
    known = [_known(job) for job in jobs]
    made = [trial for trial in known if trial]
    left = [job for job, trial in zip(jobs, known, strict=True) if trial is None]
    for job, answer in executor.answers(_do, left, timeout_seconds=LONGEST_SECONDS):
        trial = replace(job.trial, fault=answer.reason) if isinstance(answer, Lost) else answer
        made.append(trial)
        say(f"{len(made)} of {len(jobs)}: {in_words(sweep, trial)}")
    return made


def in_words(sweep: Sweep, trial: Trial) -> str:
    """Its values and its number."""
    what = trial.fault or f"{sweep.named.column} {sweep.named.metric.text(trial.value)}"
    return f"{' '.join(trial.values)}: {what}"


def _known(job: _Job) -> Trial | None:
    """The trial as it was done; None if it is not yet. RunError if it was another."""
    path = job.folder / TRIAL
    if not path.is_file():
        return None
    facts = read_json(path)
    if facts.get("value", 0.0) is None:
        facts["value"] = math.nan
    done = as_value(Trial, facts, path)
    if (done.values, done.metric) != (job.trial.values, job.trial.metric):
        raise RunError(
            f"{job.folder} is of another sweep: {' '.join(done.values)} by {done.metric}",
            "give another --work-dir",
        )
    return done


def _do(job: _Job) -> Trial:
    """Train, and measure."""
    make_folder(job.folder, run_error)
    try:
        if job.folds:
            how = Repetition(folds=True, device=job.device, quiet=True, say=lambda _: None)
            results = train_repeatedly(job.recipe, job.folder, how)
            named = find_metric(job.trial.metric)
            done = replace(job.trial, value=results.metric(named.key if named else ""))
        else:
            last = last_checkpoint(job.folder)
            train(job.recipe, job.folder, resume=last, device=job.device, quiet=True)
            done = _measured(job)
        if math.isnan(done.value):
            raise RunError(f"{job.trial.metric} was not measured on these clips")
    except RunError as error:  # as of a rate at which the loss is not finite
        done = replace(job.trial, fault=error.message)
    write_json(job.folder / TRIAL, done)
    return done


def _measured(job: _Job) -> Trial:
    """The number of the weights that the run has left."""
    epoch, named = origin_of(job.folder).chosen.epoch, find_metric(job.trial.metric)
    assert named is not None
    row = next((r for r in reversed(read_epochs(job.folder)) if r["epoch"] == epoch), {})
    return replace(job.trial, value=row.get(named.column, math.nan), epoch=epoch)


def _write_table(work_dir: Path, sweep: Sweep, trials: Sequence[Trial]) -> None:
    keys = [axis.key for axis in sweep.axes]
    rows = (
        [
            trial.folder_name,
            *(value.partition("=")[2] for value in trial.values),
            "" if math.isnan(trial.value) else f"{trial.value:.6g}",
            "" if trial.epoch is None else trial.epoch,
            trial.fault,
        ]
        for trial in trials
    )
    columns = ["trial", *keys, sweep.named.column, "epoch", "fault"]
    write_csv(work_dir / TABLE, columns, rows, run_error)


# --- optuna -------------------------------------------------------------------------------------


def _learning(sweep: Sweep, work_dir: Path, say: Callable[[str], None]) -> Iterator[Trial]:
    """Trials one after the other, each where those before it say that it may be good."""
    optuna = _optuna()
    if sweep.trials is None:
        raise RecipeError("optuna has no last trial", "say how many: --trials 20")
    axes = {axis.key: _distribution(optuna, axis) for axis in sweep.axes}
    better = "maximize" if sweep.named.metric.higher_is_better else "minimize"
    told: list[Trial] = []
    for number in range(sweep.trials):
        sampler = optuna.samplers.TPESampler(seed=sweep.seed + number, n_startup_trials=5)
        study = optuna.create_study(sampler=sampler, direction=better)
        for each in told:
            study.add_trial(_as_optuna(optuna, each, axes))
        values = tuple(f"{k}={_text(v)}" for k, v in study.ask(axes).params.items())
        planned = Trial(number=number, values=values, metric=sweep.metric)
        told += _made(sweep, work_dir, [planned], HERE, lambda _: None)
        say(f"{number + 1} of {sweep.trials}: {in_words(sweep, told[-1])}")
        yield told[-1]


def _as_optuna(optuna: ModuleType, trial: Trial, axes: dict[str, Any]) -> Any:
    texts = dict(value.split("=", 1) for value in trial.values)
    params = {
        key: texts[key] if hasattr(axis, "choices") else type(axis.low)(texts[key])
        for key, axis in axes.items()
    }
    failed = math.isnan(trial.value)
    state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
    return optuna.trial.create_trial(
        state=state, params=params, distributions=axes, value=None if failed else trial.value
    )


def _distribution(optuna: ModuleType, axis: Axis) -> Any:
    if isinstance(axis, Range):
        if axis.scale == "whole":
            return optuna.distributions.IntDistribution(int(axis.low), int(axis.high))
        return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.scale == "log")
    return optuna.distributions.CategoricalDistribution(axis.values)


def _text(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _optuna() -> ModuleType:
    try:
        optuna = import_module("optuna")
    except ImportError as error:
        raise RunError("optuna is not installed", "pip install 'marey[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
