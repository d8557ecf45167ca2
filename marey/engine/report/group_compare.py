"""Frequent and rare classes of several runs: accuracy by frequency, numbers, gains over the first.

A gain is measured on the clips that both runs read, and its interval draws those clips again for
both at once (paired bootstrap): what makes a clip hard for both does not widen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marey.engine.report.charts.charts import Point, Spread, intervals, scatters
from marey.engine.report.charts.html import grid, paragraph, section, table, tag, text
from marey.engine.report.group_report import interval_text, profile_text
from marey.engine.report.run_files import HeadResult, Result, RunFiles
from marey.engine.report.summary import percent
from marey.metrics.accuracy import class_accuracy
from marey.metrics.groups import Groups
from marey.metrics.longtail import Estimate, class_estimates


def group_comparison(names: Sequence[str], runs: Sequence[RunFiles]) -> str:
    """The part of a comparison on groups, those of the first run; empty if it knows of none."""
    first = runs[0].result
    if first is None:
        return ""
    known = [(head, groups) for head in first.heads if (groups := first.groups(head.name))]
    numbers = [_numbers_section(found) for found in group_tables(names, runs, first.numbers_only)]
    return "".join(numbers) + "".join(
        section(
            "Frequent and rare classes" + (f": {head.name}" if len(first.heads) > 1 else ""),
            *_parts(names, runs, first, head, groups),
        )
        for head, groups in known
    )


@dataclass(frozen=True)
class GroupTable:
    """Accuracies of groups with their intervals, a row a run; `note` says by which rule."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str


def group_tables(
    names: Sequence[str], runs: Sequence[RunFiles], heads: Sequence[str] | None = None
) -> list[GroupTable]:
    """A table for each of `heads`, by default all, whose groups the first run knows."""
    first = runs[0].result if runs else None
    results = [(n, r.result) for n, r in zip(names, runs, strict=True) if r.result is not None]
    if first is None:
        return []
    heads = first.facts.get("groups") or () if heads is None else heads
    known = [(head, groups) for head in heads if (groups := first.groups(head))]
    return [_table(results, head, groups) for head, groups in known]


def group_gains(first: Result, other: Result, head: str, groups: Groups) -> dict[str, Estimate]:
    """Name of a group (or class_avg) -> accuracy of `other` less that of `first`, in points.

    Empty where the two have no clip in common, or not the same classes.
    """
    ours, theirs = _answers(first, head), _answers(other, head)
    a, b = _head(first, head), _head(other, head)
    common = [clip for clip, (label, _) in ours.items() if theirs.get(clip, (-1, 0))[0] == label]
    if a is None or b is None or a.classes != b.classes or not common:
        return {}
    labels = np.array([ours[clip][0] for clip in common])
    gains = np.array([100.0 * (theirs[clip][1] - ours[clip][1]) for clip in common])
    return class_estimates(gains, labels, len(a.classes), groups)


def _parts(
    names: Sequence[str], runs: Sequence[RunFiles], first: Result, head: HeadResult, groups: Groups
) -> list[str]:
    results = [(n, r.result) for n, r in zip(names, runs, strict=True) if r.result is not None]
    gains = [
        (name, group, gain)
        for name, result in results[1:]
        for group, gain in group_gains(first, result, head.name, groups).items()
    ]
    charts = [_by_frequency(results, runs[0].class_counts.get(head.name, []), head)]
    if gains:
        spreads = [Spread(f"{n}: {group}", g.value, *g.interval) for n, group, g in gains]
        charts.append(
            intervals(
                spreads,
                title=f"Gain over {names[0]} by group",
                x_label="points, with 95 % interval",
            )
        )
    train = first.facts["groups"][head.name]["train"]
    numbers = _table(results, head.name, groups)
    return [
        paragraph(f"Groups by {groups.rule}. {profile_text(train)}", "note"),
        grid(*charts),
        table(numbers.header, numbers.rows, numbers=set(range(1, len(numbers.header)))),
        _gain_table(names[0], gains),
    ]


def _by_frequency(
    results: Sequence[tuple[str, Result]], sizes: Sequence[int], head: HeadResult
) -> str:
    """Accuracy of every class over its training clips, a colour a run."""
    series: dict[str, list[Point]] = {}
    for name, result in results:
        found = _head(result, head.name)
        if found is None or found.classes != head.classes or len(sizes) != len(head.classes):
            continue
        accuracies = class_accuracy(found.probabilities, found.labels)
        series[name] = [
            Point(size, float(accuracy), f"{of}: {accuracy:.1f} % right, {size:,} training clips")
            for of, accuracy, size in zip(head.classes, accuracies, sizes, strict=True)
        ]
    if not series:
        return paragraph("The first run has not counted its training clips.", "note")
    return scatters(
        series,
        title="Accuracy (%) of every class by its training clips",
        x_label="training clips (lines: means of eighths of the classes)",
        y_range=(0, 100),
    )


def _table(results: Sequence[tuple[str, Result]], head: str, groups: Groups) -> GroupTable:
    mean, what = ("acc/class_avg", "acc")
    if any("mAP" in result.estimates(head) for _, result in results):
        mean = what = "mAP"
    columns = [mean, *(f"{what}/{name}" for name, _ in groups)]
    rows = []
    for name, result in results:
        found, of = result.estimates(head), result.groups(head)
        if of is None or of.rule != groups.rule:  # its groups are others of the same names
            found = {key: number for key, number in found.items() if key == mean}
        cells = [
            f"{percent(found[key]['value'])} ({interval_text(found[key])})" if key in found else "–"
            for key in columns
        ]
        rows.append((name, *cells))
    header = ("run", *(key.removeprefix("acc/") for key in columns))
    return GroupTable(header, rows, f"groups of {head} by {groups.rule}")


def _numbers_section(found: GroupTable) -> str:
    numbers = set(range(1, len(found.header)))
    return section(
        "Frequent and rare classes",
        paragraph(f"{found.note[0].upper()}{found.note[1:]}.", "note"),
        table(found.header, found.rows, numbers=numbers),
    )


def _gain_table(first: str, gains: Sequence[tuple[str, str, Estimate]]) -> str:
    if not gains:
        return ""
    rows = [
        (
            name,
            group,
            "–" if not g.num_clips else f"{g.value:+.1f}",
            "–" if not g.num_clips else f"{g.interval.low:+.1f} to {g.interval.high:+.1f}",
            g.num_classes,
            f"{g.num_clips:,}",
        )
        for name, group, g in gains
    ]
    header = ("run", "group", "points", "95 % interval", "classes", "clips")
    title = tag("h3", None, text(f"Gains over {first}, on the clips that both read"))
    return title + table(header, rows, numbers={2, 3, 4, 5})


def _head(result: Result, name: str) -> HeadResult | None:
    return next((head for head in result.heads if head.name == name), None)


def _answers(result: Result, name: str) -> dict[str, tuple[int, bool]]:
    """Clip -> its label, and whether the answer was right."""
    head = _head(result, name)
    if head is None:
        return {}
    right = (head.answers == head.labels).tolist()
    return dict(zip(result.ids, zip(head.labels.tolist(), right, strict=True), strict=True))
