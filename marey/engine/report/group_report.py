"""Head, tail and few-shot classes of one run: how each group does, and what it is taken for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from marey.engine.report.charts.html import paragraph, section, table, tag, text
from marey.engine.report.mistakes import between_groups, most_confused
from marey.engine.report.run_files import Facts, HeadResult, Result
from marey.engine.report.summary import percent
from marey.metrics.accuracy import confusion_matrix
from marey.metrics.groups import Classes, Groups

MAX_PAIRS = 15
SURENESS = (
    "The interval holds 95 % of the numbers that drawing the test clips again would give. It does "
    "not speak of another training, and is too narrow for classes of a handful of clips."
)


def group_section(result: Result, head: HeadResult, suffix: str = "") -> str:
    """The part of a report on the groups of a head's classes; empty if they are not known."""
    groups = result.groups(head.name)
    if groups is None:
        return ""
    facts = result.facts["groups"][head.name]["train"]
    counts = confusion_matrix(head.probabilities, head.labels)
    return section(
        f"Frequent and rare classes{suffix}",
        paragraph(f"Groups by {groups.rule}. {profile_text(facts)}", "note"),
        _numbers(result, head.name, groups),
        paragraph(SURENESS, "note"),
        tag("h3", None, "What the clips of each group are taken for"),
        _between(counts, groups),
        _few_for_head(counts, head.classes, groups),
    )


def numbers_section(result: Result, head: str) -> str:
    """The part of a report on a head that has numbers alone, and on its groups if known."""
    groups = result.groups(head)
    note = (
        ""
        if groups is None
        else (f"Groups by {groups.rule}. {profile_text(result.facts['groups'][head]['train'])}")
    )
    return section(
        f"Numbers of {head}",
        paragraph(note, "note") if note else "",
        _numbers(result, head, groups or ()),
        paragraph(SURENESS, "note"),
    )


def profile_text(facts: Facts) -> str:
    """H%, F% and imbalance in a sentence."""
    return (
        f"Of {facts['num_classes']} classes with {facts['num_clips']:,} training clips "
        f"{facts['head_percent']:.1f} % are head and {facts['few_percent']:.1f} % few-shot; the "
        f"largest has {facts['imbalance']:,.1f} times the clips of the smallest."
    )


def interval_text(estimate: Facts) -> str:
    """An interval in words, or a dash where there is none."""
    if estimate.get("low") is None:
        return "–"
    return f"{estimate['low']:.1f} to {estimate['high']:.1f}"


def _numbers(result: Result, head: str, groups: Iterable[tuple[str, Classes]]) -> str:
    sizes = {name: len(classes) for name, classes in groups}
    rows = []
    for name, found in result.estimates(head).items():
        short = name.partition("/")[2] or name
        of = f" of {sizes[short]}" if short in sizes else ""
        rows.append(
            (
                short,
                percent(found["value"]),
                interval_text(found),
                f"{found['num_classes']}{of}",
                f"{found['num_clips']:,}",
            )
        )
    what = "mAP" if "mAP" in result.estimates(head) else "accuracy"
    header = ("", what, "95 % interval", "classes tested", "clips")
    return table(header, rows, numbers={1, 2, 3, 4})


def _between(counts: np.ndarray, groups: Groups) -> str:
    names = [name for name, _ in groups]
    rows = []
    for name, row in zip(names, between_groups(counts, groups), strict=True):
        total = int(row.sum())
        shares = [percent(100 * int(n) / total) if total else "–" for n in row]
        rows.append((name, f"{total:,}", *shares))
    header = ("clips of", "read", "right", *(f"taken for {name}" for name in names))
    return table(header, rows, numbers=set(range(1, len(header))))


def _few_for_head(counts: np.ndarray, classes: tuple[str, ...], groups: Groups) -> str:
    (head, frequent), _, (few, rare) = groups
    pairs = [
        (c.true, c.predicted, c.count, percent(100 * c.share))
        for c in most_confused(counts, classes, MAX_PAIRS, true=rare, predicted=frequent)
    ]
    title = tag("h3", None, text(f"Classes of {few} most often taken for classes of {head}"))
    if not pairs:
        return title + paragraph("None is.", "note")
    header = ("true class", "taken for", "clips", "of its clips")
    return title + table(header, pairs, numbers={2, 3})
