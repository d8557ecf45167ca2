"""Rows of results: what a benchmark writes as JSON and prints as a table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.budget import MINUTES
from benchmarks.paired import ROUNDS, Timing
from marey.engine.machine import processor_name, this_machine
from marey.storage.atomic import write_text


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of doing something, beside the reference's; seconds are medians of the rounds."""

    model: str
    mode: str
    ratio: float | None = None
    """How many times as fast as the reference: by processor time, on a GPU by wall time. None
    where there is none to compare with."""
    max_error: float | None = None
    """The largest difference, as a share of the reference's largest number."""
    cpu_seconds: float
    reference_cpu_seconds: float | None = None
    wall_seconds: float
    reference_wall_seconds: float | None = None
    rounds: int
    more: Mapping[str, float | int | str] = field(default_factory=dict)
    """What else this benchmark says of it, as columns and keys of their own."""

    def as_json(self) -> dict[str, object]:
        """One flat object."""
        values = asdict(self)
        values.pop("more")
        return values | dict(self.more)


def row(
    model: str,
    mode: str,
    timing: Timing[Any],
    reference: Timing[Any],
    *,
    max_error: float | None = None,
    device: str = "cpu",
    **more: float | int | str,
) -> Row:
    """A row of two timings that were made side by side."""
    return Row(
        model=model,
        mode=mode,
        ratio=reference.seconds(device) / timing.seconds(device),
        max_error=max_error,
        cpu_seconds=timing.cpu_seconds,
        reference_cpu_seconds=reference.cpu_seconds,
        wall_seconds=timing.wall_seconds,
        reference_wall_seconds=reference.wall_seconds,
        rounds=len(timing.cpu),
        more=more,
    )


NO_TIME = "no time was left for it"
"""Why something is left out; `--minutes` gives more."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every benchmark has: ``--json``, ``--minutes``, ``--rounds``, ``--threads``."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each way; {ROUNDS}")
    parser.add_argument(
        "--minutes",
        type=float,
        default=MINUTES,
        help=f"for all; what does not fit has fewer rounds or is left out; {MINUTES:g}",
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch and of runtimes; 1")


def report(
    benchmark: str, rows: Sequence[Row], path: Path | None, left_out: Mapping[str, str]
) -> None:
    """`show` the rows, and `write` them if there is a `path`.

    left_out: name -> why, of what has no row.
    """
    show(rows)
    few = [each for each in rows if each.ratio is not None and each.rounds < ROUNDS]
    if few:
        said = dict.fromkeys(f"{each.model} ({each.rounds})" for each in few)
        print(f"fewer than {ROUNDS} rounds: {', '.join(said)}")
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    if path is not None:
        write(benchmark, rows, path, {"left_out": left_out})
        print(f"wrote {path}")


def show(rows: Sequence[Row]) -> None:
    """Print `rows` as a table, and below it on what they were measured."""
    shown = table(rows)
    Console(width=Console(width=1000).measure(shown).maximum).print(shown)  # whole also in a pipe
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name()
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}")


def write(
    benchmark: str, rows: Sequence[Row], path: Path, notes: Mapping[str, object] | None = None
) -> None:
    """Write `rows` as JSON, beside the machine.

    Args:
        benchmark: its name.
        rows: in the order in which they are shown.
        path: of the file.
        notes: what else it says of the run.
    """
    content = {
        "benchmark": benchmark,
        "machine": asdict(this_machine()),
        **(notes or {}),
        "rows": [each.as_json() for each in rows],
    }
    write_text(path, json.dumps(content, indent=1) + "\n")


def table(rows: Sequence[Row]) -> Table:
    """The rows for a person; what only some rows have is empty in the others."""
    extra = list(dict.fromkeys(name for each in rows for name in each.more))
    names = ("model", "mode", "ratio", "max error", "CPU s", "reference CPU s", "wall s", "rounds")
    shown = Table(box=box.MARKDOWN)
    for name in (*names, *(name.replace("_", " ") for name in extra)):
        shown.add_column(name, no_wrap=True)
    for each in rows:
        shown.add_row(
            each.model,
            each.mode,
            "" if each.ratio is None else f"{each.ratio:.2f}",
            "" if each.max_error is None else f"{each.max_error:.1e}",
            f"{each.cpu_seconds:.3g}",
            "" if each.reference_cpu_seconds is None else f"{each.reference_cpu_seconds:.3g}",
            f"{each.wall_seconds:.3g}",
            str(each.rounds),
            *(_shown(each.more.get(name, "")) for name in extra),
        )
    return shown


def _shown(value: float | int | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
