"""Frequent and rare classes: how each group does, what it is taken for, what other runs gain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from marey.engine.report.charts.charts import Point, Spread, intervals, scatters
from marey.engine.report.evaluations import HeadResult, Result
from marey.engine.report.gains import Gain
from marey.engine.report.mistakes import between_groups, confusion_table
from marey.engine.report.pages import Table, of_numbers, percent, with_interval
from marey.engine.results_file import ClassGroups
from marey.errors import counted
from marey.metrics.catalog import DASH, METRICS, find_metric, interval_text
from marey.metrics.groups import Groups
from marey.metrics.intervals import Estimate
from marey.metrics.longtail import ALL, class_accuracy_estimates

MAX_PAIRS = 15

Runs = Sequence[tuple[str, Result]]
"""Names and results of the runs that were evaluated, the first one first."""


def known_groups(result: Result, head: str) -> ClassGroups | None:
    """The groups of a head; None where they are not known, or one group has all classes."""
    known = result.facts.groups.get(head)
    filled = [of for of in known.classes.values() if of] if known else []
    return known if len(filled) > 1 else None


def group_rule(known: ClassGroups) -> str:
    """How many classes are in each group, by which rule, and how long the tail is."""
    k, train = known.train.num_classes, known.train
    sizes = ", ".join(
        f"{in_words(name)} {len(of)} ({percent(100 * len(of) / k)})"
        for name, of in known.classes.items()
    )
    name, _, rule = known.rule.partition(": ")
    return (
        f"Classes are grouped by their training clips, {train.num_clips:,} in all. Of {k:,} classes"
        f" there are: {sizes}. The rule '{name}': {rule}. The largest class has"
        f" {train.imbalance:,.1f} times the training clips of the smallest."
    )


def in_words(group: str) -> str:
    """The name of a group as pages say it."""
    return "few-shot" if group == "few" else group


# --- of one run ---------------------------------------------------------------------------------


def group_part(result: Result, head: HeadResult) -> dict[str, Any]:
    """How each group of a head does, and what it is taken for; empty if groups are not known."""
    known = known_groups(result, head.name)
    if known is None:
        return {}
    (frequent, common), _, (rare, few) = known.groups
    return {
        "between": _between(head, known.groups),
        "rare": in_words(rare),
        "frequent": in_words(frequent),
        "pairs": confusion_table(head, MAX_PAIRS, true=few, predicted=common),
    }


def estimate_table(result: Result, head: str) -> Table:
    """The numbers of a head that have intervals, with the classes and clips they rest on."""
    known = known_groups(result, head)
    sizes = {name: len(classes) for name, classes in known.classes.items()} if known else {}
    rows, what = [], "accuracy"
    for key, estimate in result.facts.estimates.get(head, {}).items():
        named = find_metric(key)
        if named is not None and (known or named.metric.group == ALL):
            metric, what = named.metric, "mAP" if named.metric.several else what
            of = f" of {sizes[metric.group]}" if metric.group in sizes else ""
            classes, clips = f"{estimate.num_classes}{of}", f"{estimate.num_clips:,}"
            rows.append(
                (metric.title, percent(estimate.value), interval_text(estimate), classes, clips)
            )
    return of_numbers(rows, ("", what, "95 % interval", "classes tested", "clips"))


def _between(head: HeadResult, groups: Groups) -> Table:
    names = [name for name, _ in groups]
    rows = []
    for name, row in zip(names, between_groups(head.confusions, groups), strict=True):
        total = int(row.sum())
        shares = [percent(100 * int(n) / total) if total else DASH for n in row]
        rows.append((in_words(name), f"{total:,}", *shares))
    header = ("clips of", "read", "right", *(f"wrong: {in_words(name)}" for name in names))
    return of_numbers(rows, header)


# --- of several runs ----------------------------------------------------------------------------


def group_comparisons(
    results: Runs,
    class_counts: Mapping[str, Sequence[int]],
    gained: Mapping[str, Sequence[Gain]],
) -> dict[str, dict[str, Any]]:
    """Head -> charts and tables, of the heads that the first run has answers and groups of.

    Args:
        results: of the runs that were evaluated.
        class_counts: training clips of every class that the first run has counted.
        gained: name -> what each other run gains over the first.
    """
    return {
        head.name: _comparison(results, known, head, class_counts.get(head.name, ()), gained)
        for _, first in results[:1]
        for head in first.heads
        if (known := known_groups(first, head.name))
    }


def group_tables(results: Runs, heads: Iterable[str] | None = None) -> list[Table]:
    """Accuracies of groups with their intervals, a row a run.

    A table for each of `heads`, by default all, whose groups the first run knows.
    """
    if not results:
        return []
    _, first = results[0]
    wanted = first.facts.groups if heads is None else heads
    return [_table(results, h, known) for h in wanted if (known := known_groups(first, h))]


def _comparison(
    results: Runs,
    known: ClassGroups,
    head: HeadResult,
    sizes: Sequence[int],
    gained: Mapping[str, Sequence[Gain]],
) -> dict[str, Any]:
    of_classes = [
        (name, gain.named.metric.title, gain.points)
        for name, of in gained.items()
        for gain in of
        if gain.named.metric.estimate is class_accuracy_estimates
        and gain.named.head in ("", head.name)
    ]
    charts = [_by_frequency(results, sizes, head)]
    if of_classes:
        spreads = [Spread(f"{n}: {group}", g.value, g.low, g.high) for n, group, g in of_classes]
        title = f"Gain over {results[0][0]} by group"
        charts.append(intervals(spreads, title=title, x_label="points, with 95 % interval"))
    return {
        "rule": group_rule(known),
        "charts": charts,
        "numbers": _table(results, head.name, known),
    }


def _by_frequency(results: Runs, sizes: Sequence[int], head: HeadResult) -> Markup | str:
    """Accuracy of every class over its training clips, a colour a run."""
    series: dict[str, list[Point]] = {}
    for name, result in results:
        answers = result.head(head.name)
        if answers and answers.classes == head.classes and len(sizes) == len(head.classes):
            classes = zip(head.classes, answers.accuracies.tolist(), sizes, strict=True)
            series[name] = [
                Point(size, value, f"{of}: {value:.1f} % right, {counted(size, 'training clip')}")
                for of, value, size in classes
            ]
    if not series:
        return "The first run has not counted its training clips."
    return scatters(
        series,
        title="Accuracy (%) of every class by its training clips",
        x_label="training clips (lines: means of eighths of the classes)",
        y_range=(0, 100),
    )


def _table(results: Runs, head: str, known: ClassGroups) -> Table:
    """The means over all classes and over each group, with their intervals."""
    estimates = {name: result.facts.estimates.get(head, {}) for name, result in results}
    of_groups = {row.estimate for row in METRICS if row.group != ALL}
    metrics = {
        key: named.metric
        for of in estimates.values()
        for key in of
        if (named := find_metric(key)) and named.metric.estimate in of_groups
    }
    rows = []
    for name, result in results:
        theirs = result.facts.groups.get(head)
        same = theirs is not None and theirs.rule == known.rule
        # those of another rule are of other groups of the same names
        shown = [key if same or row.group == ALL else "" for key, row in metrics.items()]
        rows.append((name, *(_with_interval(estimates[name].get(key)) for key in shown)))
    header = ("run", *(metric.heading for metric in metrics.values()))
    return Table(header, rows, range(1, len(header)), f"groups of {head} by {known.rule}")


def _with_interval(estimate: Estimate | None) -> str:
    if estimate is None or not estimate.num_clips:
        return DASH
    return with_interval(f"{estimate.value:.1f}", estimate)
