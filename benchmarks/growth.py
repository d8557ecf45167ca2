"""How time and memory grow with what is asked for, and whether faster than its mathematics.

    python -m benchmarks.growth --json FILE [--plots FOLDER] [--axes frames batch ...]

| axis | is | mathematics |
|---|---|---|
| frames | TSM-R50 on one clip of 224 pixels, 8 to 64 frames | 1 |
| batch | TSM-R18, 8 frames of 112 pixels, 1 to 8 clips | 1 |
| size | TSM-R18 on one clip, 112 to 448 pixels a side | 2 |
| classes | a classifier of 64 clips and its loss, forwards and backwards, 10 to 10,000 | 1 |
| bank | LMR's rebuilding of 64 clips, forwards and backwards, 1 to 64 batches in its bank | 1 |
| clips | a class-balanced epoch drawn, 1e4 to 1e7 clips | 1 |

Networks are the fused form, with which evaluation and prediction work. Each point is timed beside
the others of its axis; `growth` is its time over that of the first. The exponent is that of the
power law through all points (least squares of logarithms); below 1 where something that does not
grow is most of the time. Memory is the most at one time of tensors, or of numpy's arrays.
"""

from __future__ import annotations

import argparse
import math
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.budget import Budget
from benchmarks.memory import peak_bytes
from benchmarks.paired import Timing, side_by_side
from benchmarks.rows import NO_TIME, Row, add_options, report
from marey.data.loading.samplers import ClassBalanced
from marey.engine.report import charts
from marey.engine.report.charts.charts import Series, line_chart
from marey.jobs.allocator import keep_freed_memory
from marey.longtail.lmr import LMR
from marey.models import TSM, Head, ModelSpec, ResNetSpec
from marey.models.fused import fused
from marey.storage.atomic import write_text

STYLE = Path(charts.__file__).parents[1] / "templates" / "style.css"
"""Of reports, whose colours the charts name: an SVG alone needs them, too."""
Calls = Mapping[int, Callable[[], object]]


@dataclass(frozen=True)
class Axis:
    """What grows, and how fast time may grow with it."""

    title: str
    exponent: float
    calls: Callable[[], Calls]
    """Made when they are measured."""
    memory: Callable[[int, Callable[[], object]], int]
    """Bytes of the call of a value, at most at one time."""


def _of_tensors(_value: int, call: Callable[[], object]) -> int:
    return peak_bytes(call, given=())


def _network(depth: int, frames: int, size: int, batch: int = 1) -> Callable[[], object]:
    heads = (Head("label", 400),)
    spec = ModelSpec(ResNetSpec(depth), (TSM(),), num_segments=frames, heads=heads)
    model, clip = fused(spec.build()), torch.randn(batch, frames, 3, size, size)

    @torch.inference_mode()
    def call() -> object:
        return model(clip)

    return call


def _classifier(classes: int) -> Callable[[], object]:
    layer, features = torch.nn.Linear(2048, classes), torch.randn(64, 2048)
    labels = torch.arange(64) % classes

    def call() -> object:
        layer.zero_grad()
        torch.autograd.backward(F.cross_entropy(layer(features), labels))
        return layer.weight.grad

    return call


def _rebuilding(bank: int) -> Callable[[], object]:
    """A step with a bank that is full."""
    counts = torch.arange(100, 0, -1)
    lmr = LMR(bank=bank).build({"label": counts}).train()
    features = torch.randn(64, 768, requires_grad=True)
    labels = {"label": torch.arange(64)}

    def call() -> object:
        rebuilt, _ = lmr.mixed(features, labels)
        torch.autograd.backward(rebuilt.sum())
        return features.grad

    for _ in range(bank):
        call()
    return call


def _drawing(clips: int) -> Callable[[], object]:
    weights = 1 / np.arange(1, 1001)
    labels = np.random.default_rng(0).choice(1000, clips, p=weights / weights.sum())
    return lambda: ClassBalanced().epoch_rows(labels, seed=0, epoch=0)


def _of_arrays(_value: int, call: Callable[[], object]) -> int:
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


AXES = {
    "frames": Axis(
        "TSM-R50, 224",
        1,
        lambda: {frames: _network(50, frames, 224) for frames in (8, 16, 32, 64)},
        _of_tensors,
    ),
    "batch": Axis(
        "TSM-R18, 8 x 112",
        1,
        lambda: {batch: _network(18, 8, 112, batch) for batch in (1, 2, 4, 8)},
        _of_tensors,
    ),
    "size": Axis(
        "TSM-R18, 8 frames",
        2,
        lambda: {size: _network(18, 8, size) for size in (112, 224, 448)},
        _of_tensors,
    ),
    "classes": Axis(
        "a classifier of 2,048 features, batch 64",
        1,
        lambda: {classes: _classifier(classes) for classes in (10, 100, 1000, 10_000)},
        _of_tensors,
    ),
    "bank": Axis(
        "LMR, batch 64 of 768 features",
        1,
        lambda: {bank: _rebuilding(bank) for bank in (1, 4, 16, 64)},
        _of_tensors,
    ),
    "clips": Axis(
        "ClassBalanced, 1,000 classes",
        1,
        lambda: {10**power: _drawing(10**power) for power in (4, 5, 6, 7)},
        _of_arrays,
    ),
}


def measure(
    name: str, axis: Axis, *, rounds: int, within: float = math.inf
) -> tuple[list[Row], dict[str, str]]:
    """A row for every value of an axis, the last with the exponents of all; what is left out.

    within: seconds of all calls.
    """
    calls = axis.calls()
    ways = {str(value): call for value, call in calls.items()}
    but_memory = within * (1 + rounds) / (2 + rounds)
    timings = side_by_side(ways, rounds=rounds, within=but_memory)
    left_out = {f"{axis.title}, {name} {way}": NO_TIME for way in ways if way not in timings}
    found = {value: timings[str(value)] for value in calls if str(value) in timings}
    memory = {value: axis.memory(value, calls[value]) for value in found}
    seconds = {value: timing.cpu_seconds for value, timing in found.items()}
    first = next(iter(found))
    exponents = {
        "time_exponent": exponent(seconds),
        "memory_exponent": exponent(memory),
        "expected_exponent": float(axis.exponent),
    }
    rows = [
        _row(axis.title, f"{name} {value}", timing, seconds[value] / seconds[first], memory[value])
        for value, timing in found.items()
    ] + [
        Row(
            model=axis.title,
            mode=f"{name}, all",
            cpu_seconds=sum(seconds.values()),
            wall_seconds=sum(timing.wall_seconds for timing in found.values()),
            rounds=len(found[first].cpu),
            more=exponents,
        )
    ]
    return rows, left_out


def _row(title: str, mode: str, timing: Timing[object], growth: float, memory: int) -> Row:
    return Row(
        model=title,
        mode=mode,
        cpu_seconds=timing.cpu_seconds,
        wall_seconds=timing.wall_seconds,
        rounds=len(timing.cpu),
        more={"growth": growth, "memory_mb": memory / 1e6},
    )


def exponent(values: Mapping[int, float]) -> float:
    """p of the power law c * x ** p that is nearest to `values`, x -> y, in their logarithms."""
    x, y = np.log(list(values)), np.log(list(values.values()))
    return float(np.polyfit(x, y, 1)[0])


def plot(name: str, axis: Axis, rows: Sequence[Row]) -> str:
    """An SVG of time and memory against `name`, in doublings: the slope is the exponent."""
    points = [row for row in rows if "growth" in row.more]
    values = [int(row.mode.split()[-1]) for row in points]
    x = np.log2(np.array(values) / values[0])
    first = float(points[0].more["memory_mb"])
    measured = {
        "time": [float(row.more["growth"]) for row in points],
        "memory": [float(row.more["memory_mb"]) / first for row in points],
        f"{name} ^ {axis.exponent:g}": [float(2 ** (axis.exponent * each)) for each in x],
    }
    series = [
        Series(of, tuple(x.tolist()), tuple(np.log2(growth).tolist()))
        for of, growth in measured.items()
    ]
    words = f"doublings of {name} {values[0]:,}"
    chart = str(line_chart(series, title=axis.title, x_label=words, y_label="doublings"))
    drawn = chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, rest = drawn.split(">", 1)
    return f"{head}><style>{STYLE.read_text(encoding='utf-8')}</style>{rest}"


def main(words: Sequence[str] | None = None) -> None:
    """Measure what `words`, or those of the command line, ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description="How time and memory grow."
    )
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--plots", type=Path, help="folder for an SVG of each axis")
    add_options(parser)
    asked = parser.parse_args(words)
    torch.set_num_threads(asked.threads)
    keep_freed_memory()  # as whoever loads a trained model
    budget = Budget.of(60 * asked.minutes)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for done, name in enumerate(asked.axes):
        print(f"{name}: {AXES[name].title}", flush=True)
        within = budget.share(1 / (len(asked.axes) - done)).left
        found, not_found = measure(name, AXES[name], rounds=asked.rounds, within=within)
        left_out |= not_found
        if asked.plots:
            write_text(asked.plots / f"{name}.svg", plot(name, AXES[name], found))
        rows += found
    report("growth", rows, asked.json, left_out)


if __name__ == "__main__":
    main()
