"""The curves of training, drawn from metrics.csv: of one run by chart, of several side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from marey.engine.report.charts.charts import Series, line_chart
from marey.engine.report.run_files import RunFiles
from marey.metrics.catalog import METRICS, Named, find_metric
from marey.metrics.longtail import ALL


def report_curves(run: RunFiles) -> list[Markup]:
    """A chart for each title in the catalog; the numbers of each head have charts of their own."""
    charts: dict[str, list[Named]] = {}
    for named in _curves([run]):
        charts.setdefault(named.metric.chart + named.suffix, []).append(named)
    return [
        _chart(title, [_series(named.metric.title, run, named) for named in curves], curves[0])
        for title, curves in charts.items()
    ]


def comparison_curves(names: Sequence[str], runs: Sequence[RunFiles]) -> list[Markup]:
    """A chart of each number that is watched, a curve a run."""
    return [
        _chart(
            _title(named),
            [_series(name, run, named) for name, run in zip(names, runs, strict=True)],
            named,
        )
        for named in _curves(runs)
        if named.metric.watched
    ]


def has_groups(runs: Sequence[RunFiles]) -> bool:
    """Whether any of their curves is of head, tail or few-shot classes."""
    return any(named.metric.group != ALL for named in _curves(runs))


def _curves(runs: Sequence[RunFiles]) -> list[Named]:
    """The columns that are drawn and have a value in any run, by head, then as in the catalog.

    Without those of a group that has all classes of each run, as few-shot ones where clips are few:
    they are those of the mean over all classes.
    """
    columns = {name for run in runs for row in run.epochs for name in row if not _empty(run, name)}
    known = [named for name in columns if (named := find_metric(name)) and named.metric.chart]
    drawn = [named for named in known if not _is_of_all(named, known, runs)]
    return sorted(drawn, key=lambda named: (METRICS.index(named.metric), named.head))


def _is_of_all(named: Named, known: Sequence[Named], runs: Sequence[RunFiles]) -> bool:
    """Whether it is of a group, and that of all classes wherever it has a value."""
    return named.metric.group != ALL and any(
        all(_equal(run.column(named.column), run.column(each.column)) for run in runs)
        for each in known
        if (each.head, each.metric.group) == (named.head, ALL)
        if each.metric.measure is named.metric.measure
    )


def _equal(part: Sequence[float], whole: Sequence[float]) -> bool:
    pairs = zip(part, whole, strict=True)
    return all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs if not math.isnan(a))


def _empty(run: RunFiles, column: str) -> bool:
    return all(map(math.isnan, run.column(column)))


def _series(name: str, run: RunFiles, named: Named) -> Series:
    return Series(name, run.column("epoch"), run.column(named.column))


def _title(named: Named) -> str:
    metric, heading = named.metric, named.heading
    if metric.group != ALL and not metric.several:
        heading = f"accuracy of {heading}"
    heading = f"validation {heading}" if metric.measure else heading
    return heading[0].upper() + heading[1:]


def _chart(title: str, series: Sequence[Series], named: Named) -> Markup:
    y_range = (0, 100) if named.metric.unit == "%" else None
    return line_chart(series, title=title, x_label="epoch", y_range=y_range)
