"""Several runs side by side: a table for the terminal, and one HTML page with the plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.engine.report.charts.charts import Bar, Point, Series, bars, line_chart, scatter
from marey.engine.report.charts.html import grid, page, paragraph, section, table, tag, text
from marey.engine.report.group_compare import GroupTable, group_comparison, group_tables
from marey.engine.report.run_files import HeadResult, Result, RunFiles, read_run
from marey.engine.report.summary import count, views_cell
from marey.metrics.accuracy import class_accuracy
from marey.storage.atomic import run_error, write_text

MAX_BARS = 30


@dataclass(frozen=True)
class ComparisonRow:
    """A run in a line; None where the run does not say. Accuracies are in percent."""

    name: str
    result: str
    top1: float | None
    top5: float | None
    class_avg: float | None
    mean_ap: float | None
    """Of clips of several classes, which have no top-1."""
    missing: int | None
    parameters: float | None
    gmacs_per_view: float | None
    views: str
    epochs: int

    HEADER = (
        "run",
        "top-1 (%)",
        "top-5 (%)",
        "class avg (%)",
        "params",
        "GMACs a view",
        "clips × crops × frames",
        "epochs",
    )

    def cells(self) -> tuple[str, ...]:
        """The row in words, as under `HEADER`."""
        return (
            self.name,
            _points(self.top1) if self.mean_ap is None else f"mAP {self.mean_ap:.1f}",
            _points(self.top5),
            _points(self.class_avg),
            count(self.parameters),
            count(self.gmacs_per_view),
            self.views,
            str(self.epochs),
        )


def comparison_rows(runs: Iterable[str | Path]) -> list[ComparisonRow]:
    """A row for each run, by its newest result, in the order given."""
    files = [read_run(run) for run in runs]
    return [_row(name, run) for name, run in zip(_names(files), files, strict=True)]


def comparison_groups(runs: Iterable[str | Path]) -> list[GroupTable]:
    """Frequent and rare classes of these runs, a table a head; empty if the first knows of none."""
    files = [read_run(run) for run in runs]
    return group_tables(_names(files), files)


def comparison_warnings(runs: Iterable[str | Path]) -> list[str]:
    """Why the numbers of these runs cannot simply be compared: sentences, none if they can."""
    return _warnings([read_run(run) for run in runs])


def write_comparison(runs: Iterable[str | Path], out: str | Path) -> Path:
    """Write the page that compares `runs` to the file `out`, and say where.

    The first run is the one that the others are measured against.
    """
    files, path = [read_run(run) for run in runs], Path(out)
    if not files:
        raise ValueError("there are 0 runs to compare, expected at least 1")
    names = _names(files)
    title = " and ".join(names) if len(names) < 4 else f"{len(names)} runs"
    parts = [
        tag(
            "header",
            None,
            tag("h1", None, text(title)),
            *[paragraph(sentence, "warning") for sentence in _warnings(files)],
            _table(names, files),
        ),
        _curves(names, files),
        _cost(names, files),
        group_comparison(names, files),
        _class_differences(names, files),
        _clip_differences(names, files),
    ]
    write_text(path, page(title, *parts), run_error)
    return path


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _row(name: str, run: RunFiles) -> ComparisonRow:
    result = run.result
    epochs = len(run.epochs)
    if result is None:
        return ComparisonRow(name, "–", None, None, None, None, None, None, None, "–", epochs)
    return ComparisonRow(
        name=name,
        result=result.name,
        top1=result.metric("top1"),
        top5=result.metric("top5"),
        class_avg=result.metric("class_avg"),
        mean_ap=result.metric("mAP"),
        missing=len(result.missing),
        parameters=result.facts.get("parameters"),
        gmacs_per_view=result.facts.get("gmacs_per_view"),
        views=views_cell(result),
        epochs=epochs,
    )


def _names(runs: Sequence[RunFiles]) -> list[str]:
    """The names of the recipes, with the folder where two runs share one."""
    plain = [run.name for run in runs]
    return [
        f"{name} ({run.folder.resolve().name})" if plain.count(name) > 1 else name
        for name, run in zip(plain, runs, strict=True)
    ]


def _warnings(runs: Sequence[RunFiles]) -> list[str]:
    names = _names(runs)
    sentences = [
        f"{name} has not been evaluated."
        for name, run in zip(names, runs, strict=True)
        if run.result is None
    ]
    results = [(n, r.result) for n, r in zip(names, runs, strict=True) if r.result is not None]
    sentences += [
        f"clips that could not be read when {n} was evaluated: {len(r.missing)}."
        for n, r in results
        if r.missing
    ]
    for what, value in _MUST_AGREE:
        others = [n for n, r in results[1:] if value(r) != value(results[0][1])]
        if others:
            sentences.append(
                f"{what} of {', '.join(others)} is not that of {results[0][0]}: "
                "the numbers do not measure the same thing."
            )
    return sentences


_MUST_AGREE: tuple[tuple[str, Callable[[Result], object]], ...] = (
    ("The evaluation (its name)", lambda result: result.name),
    ("The test data (its hash)", lambda result: result.facts.get("data_hash")),
    ("The list of classes", lambda result: [(h.name, h.classes) for h in result.heads]),
    ("Which classes are frequent and rare", lambda result: result.facts.get("groups") or {}),
    ("The number of clips that could be read", lambda result: len(result.ids)),
)


def _table(names: Sequence[str], runs: Sequence[RunFiles]) -> str:
    rows = [_row(name, run).cells() for name, run in zip(names, runs, strict=True)]
    return table(ComparisonRow.HEADER, rows, numbers={1, 2, 3, 4, 5, 7})


def _curves(names: Sequence[str], runs: Sequence[RunFiles]) -> str:
    def chart(title: str, column: str, y_range: tuple[float, float] | None = None) -> str:
        series = [
            Series(name, run.column("epoch"), run.column(column))
            for name, run in zip(names, runs, strict=True)
        ]
        return line_chart(series, title=title, x_label="epoch", y_range=y_range)

    if not any(run.epochs for run in runs):
        return section("Training", paragraph("None of these runs has curves yet.", "note"))
    several = not all(math.isnan(value) for run in runs for value in run.column("mAP"))
    name, column = ("mAP", "mAP") if several else ("top-1", "acc/top1")
    return section(
        "Training",
        grid(
            chart("Training loss", "train/loss"),
            chart("Validation loss", "val/loss"),
            chart(f"Validation {name} (%)", column, (0, 100)),
            chart("Learning rate", "lr"),
        ),
    )


def _cost(names: Sequence[str], runs: Sequence[RunFiles]) -> str:
    points = []
    for name, run in zip(names, runs, strict=True):
        row = _row(name, run)
        if row.top1 is not None and row.gmacs_per_view is not None:
            tip = f"{name}: {row.top1:.1f} %, {row.gmacs_per_view:.2f} GMACs a view"
            points.append(Point(row.gmacs_per_view, row.top1, tip, label=name))
    if not points:
        sentence = "No run has both an accuracy and a cost."
        return section("Accuracy and cost", paragraph(sentence, "note"))
    chart = scatter(
        points, title="Top-1 (%) and GMACs a view", x_label="GMACs a view", y_range=(0, 100)
    )
    return section("Accuracy and cost", chart)


def _class_differences(names: Sequence[str], runs: Sequence[RunFiles]) -> str:
    first = _main_head(runs[0])
    if first is None:
        return ""
    charts = []
    for name, run in zip(names[1:], runs[1:], strict=True):
        head = _main_head(run)
        if head is None or head.classes != first.classes:
            charts.append(paragraph(f"{name} and {names[0]} have no common classes.", "note"))
            continue
        gains = _accuracies(head) - _accuracies(first)
        order = [i for i in np.argsort(-np.abs(gains), kind="stable") if not math.isnan(gains[i])]
        shown = sorted(order[:MAX_BARS], key=lambda i: -gains[i])
        values = [Bar(head.classes[i], float(gains[i])) for i in shown]
        charts.append(
            bars(
                values, title=f"{name} over {names[0]}", signed=True, x_label="difference in points"
            )
        )
    if not charts:
        return ""
    note = f"Accuracy of each class less that of {names[0]}, the {MAX_BARS} largest differences."
    return section("Differences by class", paragraph(note, "note"), grid(*charts))


def _clip_differences(names: Sequence[str], runs: Sequence[RunFiles]) -> str:
    """Which clips one run gets right and another does not."""
    first = _right_clips(runs[0])
    rows = []
    for name, run in zip(names[1:], runs[1:], strict=True):
        right = _right_clips(run)
        common = first.keys() & right.keys()
        if not common:
            continue
        pairs = [(first[clip], right[clip]) for clip in common]
        rows.append((name, *(str(pairs.count(p)) for p in _OUTCOMES)))
    if not rows:
        return ""
    header = ("run", "both right", f"only {names[0]}", "only this run", "both wrong")
    return section("Differences by clip", table(header, rows, numbers={1, 2, 3, 4}))


_OUTCOMES = ((True, True), (True, False), (False, True), (False, False))


def _main_head(run: RunFiles) -> HeadResult | None:
    return run.result.heads[0] if run.result and run.result.heads else None


def _accuracies(head: HeadResult) -> np.ndarray:
    return class_accuracy(head.probabilities, head.labels)


def _right_clips(run: RunFiles) -> dict[str, bool]:
    head = _main_head(run)
    if head is None or run.result is None:
        return {}
    right = (head.answers == head.labels).tolist()
    return dict(zip(run.result.ids, right, strict=True))
