"""Where the numbers of a run go besides its own files: TensorBoard, W&B, MLflow, trackio.

A tracker gets what log.jsonl gets, at the same steps. TensorBoard writes into RUN/tb wherever it is
installed, the others where they are asked for; each is configured as its makers say, by its own
variables and files. RUN/trackers.json names their runs, with which a run that is resumed goes on.

A tracker is not what is trained: where it fails that is said once, nothing more is sent to it, and
the run goes on.
"""

from __future__ import annotations

import json
import logging
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from marey.engine.train.run_folder import training_error
from marey.errors import RunError
from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_plain
from marey.storage.atomic import write_text

log = logging.getLogger("marey")

FILE = "trackers.json"
PROJECT = "marey"
"""In which runs are put where nothing names another."""
_MODULES = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "trackio": "trackio",
}
"""What `--log` takes -> the package it needs."""


class Tracker(Protocol):
    """A run as a tracker has it: the `name` by which it goes on, and `where` a person finds it."""

    name: str
    where: str

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take the values of a step; nan stands for one of which nothing was tested."""

    def finish(self, ok: bool) -> None:
        """Take note that the run has ended, well or not."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a tracker is told of a run: its folder, its recipe by dotted keys, where it goes on.

    `name` is that of the tracker's run which goes on; empty of one that begins.
    """

    folder: Path
    config: Mapping[str, Any]
    step: int
    name: str = ""

    @property
    def title(self) -> str:
        """What people call the run."""
        return self.folder.resolve().name


@dataclass(eq=False)
class Trackers:
    """Those of a run, none of which can stop it. `notes` say where they are."""

    open: dict[str, Tracker] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Give all of them the values of a step."""
        self._each(lambda tracker: tracker.log(values, step))

    def finish(self, ok: bool) -> None:
        """Tell all of them that the run has ended."""
        self._each(lambda tracker: tracker.finish(ok))
        self.open.clear()

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.open.items()):
            try:
                do(tracker)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is none of training
                del self.open[name]
                log.warning("%s", _failed(name, error))


def check_trackers(names: Sequence[str]) -> None:
    """RunError for what is no tracker, or not installed."""
    for name in names:
        if name not in _MODULES:
            raise RunError(f"no tracker '{name}'", f"known: {', '.join(_MODULES)}")
        if find_spec(_MODULES[name]) is None:
            extra = "tensorboard" if name == "tensorboard" else "track"
            raise RunError(f"{name} is not installed", f"pip install 'marey[{extra}]'")


def open_trackers(names: Sequence[str], folder: Path, recipe: Recipe, step: int) -> Trackers:
    """The trackers of the run in `folder`: TensorBoard if it is there, `names`, and what it had.

    step: to which the run has come; 0 of one that begins.
    """
    had = _read(folder) if step else {}
    here = ["tensorboard"] if find_spec("tensorboard") else []
    made = Trackers()
    config = dict(_leaves("", to_plain(recipe)))
    for name in dict.fromkeys((*here, *had, *names)):
        about = About(folder=folder, config=config, step=step, name=had.get(name, ""))
        try:
            made.open[name] = _TRACKERS[name](about)
        except Exception as error:  # noqa: BLE001 - as above
            made.notes.append(_failed(name, error))
    made.notes += [f"{name}: {it.where}" for name, it in made.open.items() if it.where]
    kept = had | {name: tracker.name for name, tracker in made.open.items() if tracker.name}
    if kept:
        write_text(folder / FILE, json.dumps(kept, indent=1) + "\n", training_error)
    return made


def _failed(name: str, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{name} does not take this run any more ({first}); it is trained all the same"


def _read(folder: Path) -> dict[str, str]:
    """Tracker -> the name of its run; none where the file is gone or damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: run for name, run in pairs if name in _TRACKERS and isinstance(run, str)}


def _leaves(key: str, plain: Any) -> Iterator[tuple[str, Any]]:
    """Dotted key -> value, of the recipe as plain values."""
    parts = plain.items() if isinstance(plain, dict) else enumerate(plain)
    for name, value in parts:
        inner = f"{key}.{name}" if key else str(name)
        if isinstance(value, dict | list) and value:
            yield from _leaves(inner, value)
        else:
            yield inner, value


def _tested(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if not math.isnan(value)}


class _TensorBoard:
    """Files of events in RUN/tb; those of steps that are made again are hidden."""

    name, where = "", ""

    def __init__(self, about: About) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(about.folder / "tb"), purge_step=about.step or None)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def finish(self, ok: bool) -> None:  # noqa: ARG002
        self._board.close()


class _Wandb:
    """A run of Weights & Biases. Its own steps only grow; ours are a metric that others follow."""

    def __init__(self, about: About) -> None:
        import wandb

        usual = {"WANDB_PROJECT": ("project", PROJECT), "WANDB_NAME": ("name", about.title)}
        usual |= {"WANDB_DIR": ("dir", str(about.folder)), "WANDB_RESUME": ("resume", "allow")}
        given: dict[str, Any] = {
            key: value for variable, (key, value) in usual.items() if variable not in os.environ
        }
        if about.name:
            given |= {"id": about.name, "resume": "allow"}
        self._run = wandb.init(config=dict(about.config), **given)
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self.name = self._run.id
        self.where = "" if self._run.offline else self._run.url or ""

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log({**_tested(values), "step": step})

    def finish(self, ok: bool) -> None:
        self._run.finish(exit_code=0 if ok else 1)


class _MLflow:
    """A run of MLflow, in the experiment and at the server that its variables name."""

    def __init__(self, about: About) -> None:
        import mlflow

        self._mlflow = mlflow
        if about.name:
            self._run = mlflow.start_run(run_id=about.name)
        else:
            if not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
                mlflow.set_experiment(PROJECT)
            self._run = mlflow.start_run(run_name=about.title)
            config = list(about.config.items())
            for first in range(0, len(config), 100):  # as many as a request may have
                mlflow.log_params(dict(config[first : first + 100]))
        self.name = self._run.info.run_id
        self.where = f"run {self.name} at {mlflow.get_tracking_uri()}"

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(_tested(values), step=step)

    def finish(self, ok: bool) -> None:
        self._mlflow.end_run("FINISHED" if ok else "FAILED")


class _Trackio:
    """A run of trackio, whose names are all it has to go on by: a new one has one of its own."""

    where = ""

    def __init__(self, about: About) -> None:
        import trackio

        name = about.name or f"{about.title}-{uuid.uuid4().hex[:6]}"
        resume = "allow" if about.name else "never"
        config = dict(about.config)
        self._run = trackio.init(project=PROJECT, name=name, config=config, resume=resume)
        self.name = name

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(_tested(values), step=step)

    def finish(self, ok: bool) -> None:  # noqa: ARG002
        self._run.finish()


_TRACKERS: Mapping[str, Callable[[About], Tracker]] = {
    "tensorboard": _TensorBoard,
    "wandb": _Wandb,
    "mlflow": _MLflow,
    "trackio": _Trackio,
}
