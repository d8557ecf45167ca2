"""Tables of metrics on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from marey.cli.shared import console, errors
from marey.cli.tables import print_table
from marey.errors import counted, first_few

if TYPE_CHECKING:
    from marey.engine.inference.evaluate import Evaluation
    from marey.engine.results_file import Results
    from marey.metrics.intervals import Estimate


def print_metrics(
    metrics: Mapping[str, float], estimates: Mapping[str, Estimate], title: str
) -> None:
    """Print a row a metric, with its interval and what it rests on where that is known."""
    from marey.engine.report.pages import of_numbers as table
    from marey.metrics.catalog import find_metric, interval_text

    rows = []
    for name, value in metrics.items():
        named, about = find_metric(name), ["", "", ""]
        if estimate := estimates.get(name):
            about = [interval_text(estimate, digits=2)]
            about += [f"{estimate.num_classes:,}", f"{estimate.num_clips:,}"]
        number = named.metric.number(value, digits=2) if named else f"{value:.4g}"
        rows.append([name, number, *about])
    print_table(table(rows, ("metric", title, "95 % interval", "classes", "clips")))


MOST_CLASSES = 20
"""Of several a clip, that are printed one by one; the report has all."""


def print_classes(evaluation: Evaluation) -> None:
    """Print what is found of each class, of heads of two classes and of several classes a clip."""
    from marey.engine.report.class_numbers import class_table
    from marey.metrics.detection import targets_of

    for head in evaluation.shared_out:
        console.print(
            f"'{escape(head)}' was trained for one class a clip: its probabilities share 1 among "
            "the classes (softmax), though these clips have several"
        )
    for head, probabilities in evaluation.probabilities.items():
        classes, labels = evaluation.manifest.classes[head], evaluation.manifest.labels[head]
        if len(classes) == 2 or (labels.ndim == 2 and len(classes) <= MOST_CLASSES):
            print_table(class_table(classes, probabilities, targets_of(labels, len(classes))))


def print_untested(evaluation: Evaluation) -> None:
    """Print which classes no clip shows, so that no number is of them."""
    for head, names in evaluation.manifest.classes.items():
        counts = evaluation.manifest.class_counts(head)
        absent = [name for name, count in zip(names, counts, strict=True) if not count]
        if absent:
            have = "has" if len(absent) == 1 else "have"
            console.print(
                f"{len(absent)} of {counted(len(names), 'class')} of '{head}' {have} no clip here: "
                f"{escape(first_few(absent))}"
            )


def print_tested(facts: Results) -> None:
    """Print which split and weights the numbers are of, and why they may be too good."""
    told = [facts.tested_in_words, facts.chosen.in_words(), facts.other_segments]
    told += [f"{m.name}: {m.chosen.in_words()}" for m in facts.members if m.chosen.how]
    told += [
        f"calibrated{f' {head}' if len(facts.calibration) > 1 else ''}: temperature"
        f" {of.temperature:.2f}, measured on {of.measured_on}; calibration error of the"
        f" {counted(facts.num_clips or 0, 'clip')} tested here {of.ece_before:.1f} % without it,"
        f" {of.ece_after:.1f} % with it"
        for head, of in facts.calibration.items()
    ]
    for line in filter(None, told):
        console.print(escape(line))
    if facts.caution:
        errors.print(f"[yellow]warning:[/] {escape(facts.caution)}")


def print_calibration(model: Path) -> None:
    """Print what was measured of a model, and where it is."""
    from marey.engine.weights.calibration import FILE, calibration_in
    from marey.engine.weights.origin import origin_of

    folder = origin_of(model).folder
    console.print(f"{calibration_in(folder).in_words()}; applied by --calibrated alone")
    console.print(escape(f"written: {folder / FILE}"))


def print_subsets(subsets: Mapping[str, Mapping[str, int]]) -> None:
    """Print how many clips each part has that has numbers of its own."""
    for name, of in subsets.items():
        counts = ", ".join(f"{clips:,} of {head}" for head, clips in of.items())
        console.print(f"{name}: {counts}")


def print_groups(evaluation: Evaluation) -> None:
    """Print by which rule the classes of each head are frequent and rare, or why nobody knows."""
    from marey.engine.inference.measures import TrainingCounts

    counts = evaluation.trained_on
    for head in evaluation.scores:
        if grouped := counts.groups(head):
            console.print(f"groups of {head} by {grouped.rule}")
        elif isinstance(counts, TrainingCounts) and head not in counts.of:
            console.print(
                f"no head, tail and few of {head}: how many clips its classes were trained on is "
                "not known; --train-manifest counts them"
            )
