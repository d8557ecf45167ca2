"""What a run writes while it goes: log.jsonl, metrics.csv, train.log, and TensorBoard if there.

log.jsonl has one object a line: `{"kind": "step", "step": 12, "loss": 1.9, ...}`, of kind step,
epoch or event; null stands for a number of which nothing was tested. A resumed run first drops the
lines that its checkpoint has not seen, so that each step stands there once.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from marey.engine.train.epoch_table import add_epoch, keep_epochs
from marey.engine.train.run_folder import training_error
from marey.metrics.catalog import find_metric
from marey.storage.atomic import write_text, writing
from marey.storage.text_files import read_text

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """The log of a run in `folder`, for rank 0: the other processes have a silent one."""

    def __init__(self, folder: Path, step: int = 0, active: bool = True, *, quiet: bool = False):
        self.folder, self.active = folder, active
        self.console = Console(quiet=quiet or not active, highlight=False, soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            transient=True,
        )
        self._task: TaskID | None = None
        if active:
            _keep_steps(folder / "log.jsonl", step)
            keep_epochs(folder, step)
            self._board = _tensorboard(folder / "tb", step)

    def __enter__(self) -> RunLog:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        if self.active and self._board is not None:
            self._board.close()

    def say(self, message: str) -> None:
        """A line for people: on the terminal and, with the time, in train.log."""
        self.console.print(message, markup=False)
        self._append("train.log", f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")

    def begin_epoch(self, title: str, num_steps: int, done: int) -> None:
        """A new progress bar over the steps of an epoch."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(title, total=num_steps, completed=done, text="")

    def step(self, step: int, text: str, **values: float) -> None:
        """A line of log.jsonl and a notch on the progress bar."""
        self._record("step", step, values)
        if self._task is not None:
            self._bars.update(self._task, advance=1, text=text)

    def epoch(self, metrics: Mapping[str, float]) -> None:
        """A row of metrics.csv, the same in log.jsonl, and a line for people.

        `metrics` has the keys of the catalog, all those of its rows of training among them.
        """
        if not self.active:
            return
        rows = {key: find_metric(key) for key in metrics}
        named = {key: each for key, each in rows.items() if each is not None}
        row = {named[key].column if key in named else key: v for key, v in metrics.items()}
        self._record("epoch", int(row["step"]), {k: v for k, v in row.items() if k != "step"})
        add_epoch(self.folder, row)
        watched = [
            f"{each.column} {each.metric.text(metrics[key])}"
            for key, each in named.items()
            if each.metric.watched and each.metric.higher_is_better is not None
        ]
        self.say(
            f"epoch {row['epoch']:.0f}  {'  '.join(watched)}  "
            f"{row['clips_per_second']:.1f} clips/s  data wait {row['data_wait']:.0%}"
        )

    def _record(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        known = {name: None if math.isnan(value) else value for name, value in values.items()}
        line = json.dumps({"kind": kind, "step": step, **known}, allow_nan=False)
        self._append("log.jsonl", line + "\n")
        if self.active and self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def _append(self, name: str, text: str) -> None:
        if not self.active:
            return
        path = self.folder / name
        with writing(path, training_error), path.open("a", encoding="utf-8") as file:
            file.write(text)


def _keep_steps(path: Path, step: int) -> None:
    """Drop the lines after `step`, and one that a kill cut short."""
    kept = []
    for line in read_text(path).splitlines(keepends=True):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    if path.is_file():
        write_text(path, "".join(kept), training_error)


def _tensorboard(folder: Path, step: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # the extra marey[tensorboard] is not installed
        return None
    return SummaryWriter(str(folder), purge_step=step or None)
