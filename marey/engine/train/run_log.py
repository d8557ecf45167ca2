"""What a run writes while it goes: log.jsonl, metrics.csv, train.log; and what trackers are told.

log.jsonl has one object a line: `{"kind": "step", "step": 12, "loss": 1.9, ...}`, of kind step,
epoch or event; null stands for a number of which nothing was tested. A resumed run first mends its
logs: what its checkpoint has not seen goes, as does what is no whole line (a full disk leaves half
of one, a power cut NUL bytes), and each step and each epoch stands there once.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from marey.engine.train.epoch_table import add_epoch, mend_epochs, read_epochs
from marey.engine.train.run_folder import training_error
from marey.engine.train.trackers import Trackers
from marey.errors import RunError
from marey.metrics.catalog import find_metric
from marey.storage.atomic import write_text, writing
from marey.terminal import Terminal, duration, visible

log = logging.getLogger("marey")

SPEED_SECONDS = 600.0
"""The time left is told from the steps of as long; one of them may take a minute."""


class RunLog:
    """The log of a run in `folder`, for rank 0: the other processes have a silent one.

    Of a run that goes on: the step it has come to, how many epochs it has ended, and their rows of
    metrics.csv, as far as its checkpoint has them. `trackers` are told steps and epochs.
    """

    def __init__(
        self,
        folder: Path,
        step: int = 0,
        active: bool = True,
        *,
        num_epochs: int = 0,
        epochs: Sequence[Mapping[str, float]] | None = None,
        quiet: bool = False,
        trackers: Trackers | None = None,
    ) -> None:
        self.folder, self.active, self.trackers = folder, active, trackers or Trackers()
        self.console = Terminal(quiet=quiet or not active)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            disable=not (self.console.is_terminal or self.console.is_jupyter),
            transient=True,
            speed_estimate_period=SPEED_SECONDS,
        )
        self._remarks = _Remarks(self.say)
        self._task: TaskID | None = None
        self._all: TaskID | None = None
        self.epochs: list[dict[str, float]] = [dict(row) for row in epochs or ()]
        if active:
            mend_epochs(folder, step, num_epochs, epochs)
            if epochs is None:
                self.epochs = [_whole_numbers(row) for row in read_epochs(folder)]
            _mend_steps(folder / "log.jsonl", step, self.epochs)
            _mend_lines(folder / "train.log")

    def __enter__(self) -> RunLog:
        self._bars.start()
        logging.getLogger("marey").addHandler(self._remarks)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.trackers.finish(ok=kind is None)
        logging.getLogger("marey").removeHandler(self._remarks)
        self._bars.stop()

    def say(self, message: str) -> None:
        """A line for people: on the terminal and, with the time, in train.log."""
        self.console.print(message, markup=False)
        self._note(message)

    def say_together(self, title: str, lines: Sequence[str]) -> None:
        """A line for people, and those that belong below it, on a terminal broken at words."""
        self.say(title)
        for line in lines:
            short = wrap(line, self.console.width, initial_indent="  ", subsequent_indent="    ")
            self.console.print("\n".join(short), markup=False)
            self._note(f"  {line}")

    def begin_epoch(self, title: str, num_steps: int, done: int, later: int = 0) -> None:
        """A new progress bar over the steps of an epoch, above one over those `later` as well."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(title, total=num_steps, completed=done, text="")
        if self._all is None and later:
            self._all = self._bars.add_task("all epochs", total=None, text="")
        if self._all is not None:
            passed = self._bars.tasks[self._bars.task_ids.index(self._all)].completed
            self._bars.update(self._all, total=passed + num_steps - done + later)

    def looked_at(self, done: int) -> None:
        """A notch on the progress bar for what is no step."""
        if self._task is not None:
            self._bars.update(self._task, completed=done)

    def end_epoch(self) -> None:
        """No progress bar."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = None

    def step(self, step: int, text: str, **values: float) -> None:
        """A line of log.jsonl and a notch on the progress bar."""
        self._record("step", step, values)
        if self._task is not None:
            self._bars.update(self._task, advance=1, text=text)
        if self._all is not None:
            self._bars.update(self._all, advance=1)

    def epoch(self, metrics: Mapping[str, float]) -> None:
        """A row of metrics.csv, the same in log.jsonl and in `epochs`, and a line for people.

        `metrics` has the keys of the catalog, all those of its rows of training among them.
        """
        if not self.active:
            return
        rows = {key: find_metric(key) for key in metrics}
        named = {key: each for key, each in rows.items() if each is not None}
        row = {named[key].column if key in named else key: v for key, v in metrics.items()}
        self.epochs.append({k: v if isinstance(v, int) else float(v) for k, v in row.items()})
        self._record("epoch", int(row["step"]), {k: v for k, v in row.items() if k != "step"})
        add_epoch(self.folder, row)
        watched = [
            f"{each.column} {each.metric.text(metrics[key])}"
            for key, each in named.items()
            if each.metric.watched and each.metric.higher_is_better is not None
        ]
        self.say(
            f"epoch {row['epoch']:.0f}  {'  '.join(watched)}  "
            f"{row['clips_per_second']:.1f} clips/s  data wait {row['data_wait']:.0%}{self._left()}"
        )

    def _left(self) -> str:
        """How long the epochs that are left may take; empty where none is, or nobody knows."""
        tasks = [task for task in self._bars.tasks if task.id == self._all]
        seconds = tasks[0].time_remaining if tasks else None
        return f"  {duration(seconds)} left" if seconds else ""

    def _record(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        self._append("log.jsonl", _line(kind, step, values))
        self.trackers.log(values, step)

    def _note(self, message: str) -> None:
        self._append("train.log", f"{time.strftime('%Y-%m-%d %H:%M:%S')} {visible(message)}\n")

    def _append(self, name: str, text: str) -> None:
        if not self.active:
            return
        path = self.folder / name
        with writing(path, training_error), path.open("a", encoding="utf-8") as file:
            file.write(text)


class _Remarks(logging.Handler):
    """What is remarked anywhere while the run goes on, as that clips are out of reach, is said."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


def _line(kind: str, step: int, values: Mapping[str, float]) -> str:
    known = {name: None if math.isnan(value) else value for name, value in values.items()}
    return json.dumps({"kind": kind, "step": step, **known}, allow_nan=False) + "\n"


def _whole_numbers(row: Mapping[str, float]) -> dict[str, float]:
    return {**row, "epoch": int(row["epoch"]), "step": int(row["step"])}


def _mend_steps(path: Path, step: int, epochs: Sequence[Mapping[str, float]]) -> None:
    """Leave the lines up to `step`, each step once, and one for each of the `epochs`."""
    if not path.is_file():
        return
    kept: dict[object, tuple[int, str]] = {}
    of_epochs: dict[tuple[object, int], list[str]] = {}
    for number, fact in enumerate(_objects(path)):
        kind, at, line = fact.get("kind"), fact.get("step"), json.dumps(fact) + "\n"
        if kind == "epoch" and isinstance(at, int):
            of_epochs.setdefault((fact.get("epoch"), at), []).append(line)
        elif isinstance(at, int) and at <= step:
            kept[at if kind == "step" else (kind, number)] = (at, line)
    lines = list(kept.values())
    for row in epochs:
        at = int(row["step"])
        values = {name: value for name, value in row.items() if name != "step"}
        known = of_epochs.get((row["epoch"], at))  # two, where a stage without epochs follows
        lines.append((at, known.pop(0) if known else _line("epoch", at, values)))
    lines.sort(key=lambda line: line[0])
    write_text(path, "".join(text for _, text in lines), training_error)


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """What is whole in the file, also where half a line stands before it."""
    for text in re.split(r'\n|(?=\{"kind":)', _clean(path)):
        try:
            fact = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(fact, dict):
            yield fact


def _mend_lines(path: Path) -> None:
    """End the last line of a log for people, so that nothing is glued to it."""
    text = _clean(path) if path.is_file() else ""
    if text and (not text.endswith("\n") or text.encode() != path.read_bytes()):
        write_text(path, text.removesuffix("\n") + "\n", training_error)


def _clean(path: Path) -> str:
    """The text of a log, without what is none: a byte-order mark, NUL bytes, bad UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig", "replace").replace("\0", "")
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
