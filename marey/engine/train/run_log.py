"""What a run writes while it goes: log.jsonl, metrics.csv, train.log, and TensorBoard if there.

log.jsonl has one object a line: `{"kind": "step", "step": 12, "loss": 1.9, ...}`, of kind step,
epoch or event. metrics.csv has one row an epoch. A resumed run first drops the lines that its
checkpoint has not seen, so that each step stands there once.
"""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable, Mapping
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

from marey.engine.train.run_folder import training_error
from marey.storage.atomic import write_text, writing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = (
    "epoch",
    "step",
    "train/loss",
    "lr",
    "clips_per_second",
    "data_wait",
    "val/loss",
    "acc/top1",
    "acc/top5",
    "acc/class_avg",
    "acc/head",
    "acc/tail",
    "acc/few",
    "mAP",
)
SHOWN = ("train/loss", "val/loss", "acc/top1", "acc/few", "mAP")


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
            _keep_until(folder / "log.jsonl", step, lambda line: json.loads(line)["step"])
            _keep_until(folder / "metrics.csv", step, _step_of_row)
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

    def epoch(self, row: Mapping[str, float]) -> None:
        """A row of metrics.csv, the same in log.jsonl, and a line for people."""
        step = int(row["step"])
        self._record("epoch", step, {k: v for k, v in row.items() if k != "step"})
        text = io.StringIO()
        path = self.folder / "metrics.csv"
        begun = path.read_text(encoding="utf-8").partition("\n")[0] if path.exists() else ""
        names = begun.split(",") if begun else COLUMNS  # a run of before may have fewer
        writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
        if not begun:
            writer.writeheader()
        writer.writerow({name: _short(value) for name, value in row.items()})
        self._append("metrics.csv", text.getvalue())
        shown = {k: row[k] for k in SHOWN if not math.isnan(row.get(k, math.nan))}
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())
        self.say(
            f"epoch {row['epoch']:.0f}  {numbers}  {row['clips_per_second']:.1f} clips/s  "
            f"data wait {row['data_wait']:.0%}"
        )

    def _record(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        self._append("log.jsonl", json.dumps({"kind": kind, "step": step, **values}) + "\n")
        if self.active and self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def _append(self, name: str, text: str) -> None:
        if not self.active:
            return
        path = self.folder / name
        with writing(path, training_error), path.open("a", encoding="utf-8") as file:
            file.write(text)


def _keep_until(path: Path, step: int, step_of: Callable[[str], int]) -> None:
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = []
    for line in lines:
        try:
            if step_of(line) <= step:
                kept.append(line)
        except (ValueError, KeyError):  # a line that a kill cut short
            continue
    write_text(path, "".join(kept), training_error)


def _step_of_row(line: str) -> int:
    row = next(csv.reader(io.StringIO(line)))
    return 0 if row == list(COLUMNS) else int(row[COLUMNS.index("step")])


def _short(value: float) -> float | str:
    return f"{value:.6g}" if isinstance(value, float) else value


def _tensorboard(folder: Path, step: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # the extra marey[tensorboard] is not installed
        return None
    return SummaryWriter(str(folder), purge_step=step or None)
