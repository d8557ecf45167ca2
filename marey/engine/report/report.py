"""The report of a run: one HTML file that needs no other, to read, print or send.

It is made from what lies in the run's folder, at any time: a part that is not there yet is replaced
by a sentence that says so. All numbers come from the files; nothing is computed on a device.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from marey.data.manifest.join import read_manifests
from marey.data.manifest.location import Location
from marey.engine.report.charts.charts import (
    Bar,
    Point,
    Series,
    bars,
    line_chart,
    reliability_chart,
    scatter,
)
from marey.engine.report.charts.heatmap import MAX_CLASSES, confusion_chart
from marey.engine.report.charts.html import (
    details,
    grid,
    page,
    paragraph,
    section,
    table,
    tag,
    text,
)
from marey.engine.report.frame_strips import clip_roots, shown_path, strip_image, without_folders
from marey.engine.report.group_report import group_section, numbers_section
from marey.engine.report.lmr_sources import sources_section
from marey.engine.report.mistakes import (
    confident_mistakes,
    hardest_classes,
    most_confused,
)
from marey.engine.report.run_files import HeadResult, Result, RunFiles, read_run
from marey.engine.report.summary import header, percent, provenance
from marey.errors import ManifestError
from marey.metrics.accuracy import class_accuracy, confusion_matrix
from marey.metrics.calibration import reliability
from marey.storage.atomic import run_error, write_text
from marey.video.reading.reader import Span

MAX_STRIPS = 12
MAX_ROWS = 50
MAX_BARS = 40


def write_report(run: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of the run in folder `run` (default: RUN/report.html), and say where.

    RunError if there is no run, if a file of it cannot be understood, or `out` cannot be written.
    """
    files = read_run(run)
    path = Path(out) if out is not None else files.folder / "report.html"
    parts = [header(files), _curves(files)]
    if files.result is None:
        sentence = "This run has not been evaluated yet: marey eval writes results to look at."
        parts.append(section("Results", paragraph(sentence, "note")))
    else:
        parts += _result_parts(files, files.result)
    parts += [_unreadable(files), provenance(files), _recipe(files)]
    write_text(path, page(files.name, *parts), run_error)
    return path


def _curves(files: RunFiles) -> str:
    if not files.epochs:
        sentence = "There are no curves yet: metrics.csv is written at the end of each epoch."
        return section("Training", paragraph(sentence, "note"))
    epochs = files.column("epoch")

    def chart(
        title: str, columns: dict[str, str], y_range: tuple[float, float] | None = None
    ) -> str:
        series = [Series(name, epochs, files.column(column)) for column, name in columns.items()]
        series = [s for s in series if not all(map(math.isnan, s.y))]
        if not series:
            return ""
        return line_chart(series, title=title, x_label="epoch", y_range=y_range)

    losses = files.column("train/loss")
    diverged = sum(math.isinf(x) or math.isnan(x) for x in losses)
    note = f"In {diverged} epochs the training loss has no finite value." if diverged else ""
    accuracy = {
        "acc/top1": "top-1",
        "acc/top5": "top-5",
        "acc/class_avg": "class average",
        "mAP": "mAP",
    }
    return section(
        "Training",
        paragraph(note, "warning") if note else "",
        grid(
            chart("Loss", {"train/loss": "training", "val/loss": "validation"}),
            chart("Validation accuracy (%)", accuracy, (0, 100)),
            chart("Learning rate", {"lr": "learning rate"}),
        ),
    )


def _result_parts(files: RunFiles, result: Result) -> list[str]:
    parts = [numbers_section(result, name) for name in result.numbers_only]
    if not result.ids:
        sentence = f"results/{result.name} has no predictions to look into."
        return [*parts, section("Results", paragraph(sentence, "note"))]
    for head in result.heads:
        suffix = f": {head.name}" if len(result.heads) > 1 else ""
        parts += [
            _confusions(head, suffix),
            _classes(files, head, suffix),
            group_section(result, head, suffix),
            sources_section(files, result, head.name),
            _calibration(head, suffix),
            _mistakes(files, result, head, suffix),
        ]
    return parts


def _confusions(head: HeadResult, suffix: str) -> str:
    counts = confusion_matrix(head.probabilities, head.labels)
    chosen, note = np.arange(len(head.classes)), ""
    if len(chosen) > MAX_CLASSES:
        chosen = hardest_classes(counts, MAX_CLASSES)
        note = f"The {MAX_CLASSES} of {len(head.classes)} classes with most errors are drawn."
    names = [head.classes[i] for i in chosen]
    pairs = [
        (c.true, c.predicted, c.count, percent(100 * c.share))
        for c in most_confused(counts, head.classes, 15)
    ]
    found = (
        table(("true class", "taken for", "clips", "of its clips"), pairs, numbers={2, 3})
        if pairs
        else paragraph("No clip was taken for another class.", "note")
    )
    return section(
        f"Confusions{suffix}",
        paragraph(note, "note") if note else "",
        confusion_chart(counts[np.ix_(chosen, chosen)], names, title="Confusion matrix"),
        tag("h3", None, "Most confused pairs"),
        found,
    )


def _classes(files: RunFiles, head: HeadResult, suffix: str) -> str:
    accuracies = class_accuracy(head.probabilities, head.labels)
    sizes, source = _class_sizes(files, head)
    tips = [
        f"{name}: {accuracy:.1f} % right, {size} {source} clips"
        for name, accuracy, size in zip(head.classes, accuracies, sizes, strict=True)
    ]
    note, charts = f"Class sizes count {source} clips.", []
    if len(set(sizes)) == 1:
        note = f"Every class has {sizes[0]} {source} clips."
    else:
        points = list(map(Point, map(float, sizes), accuracies, tips))
        charts.append(
            scatter(
                points,
                title="Accuracy (%) and class size",
                x_label=f"{source} clips",
                y_label="clips that are right (%)",
                y_range=(0, 100),
            )
        )
    order = np.argsort(accuracies, kind="stable")[:MAX_BARS]
    title = "Accuracy of each class (%)"
    if len(head.classes) > MAX_BARS:
        title = f"The {MAX_BARS} classes of lowest accuracy (%)"
    values = [Bar(head.classes[i], float(accuracies[i]), tips[i]) for i in order]
    charts.append(bars(values, title=title))
    return section(f"Classes{suffix}", paragraph(note, "note"), grid(*charts))


def _class_sizes(files: RunFiles, head: HeadResult) -> tuple[list[int], str]:
    """Clips of each class, and which clips were counted: training ones, if they can be found."""
    counted = files.class_counts.get(head.name, [])
    if len(counted) == len(head.classes):
        return counted, "training"
    tested = np.bincount(head.labels, minlength=len(head.classes)).tolist()
    data = files.recipe.get("data") or {}
    try:
        manifest = read_manifests(
            [data.get("train") or "", *data.get("more", ())],
            split="train",
            at=Location(data.get("root") or None),
        )
    except ManifestError:  # moved or gone since: the caption says which clips are counted instead
        return tested, "test"
    if manifest.classes.get(head.name) != head.classes:
        return tested, "test"
    return manifest.class_counts(head.name).tolist(), "training"


def _calibration(head: HeadResult, suffix: str) -> str:
    found = reliability(head.probabilities, head.labels)
    error = found.expected_calibration_error
    right = 100 * float((head.answers == head.labels).mean())
    sure = 100 * float(head.confidences.mean())
    more = "more" if sure > right else "less"
    return section(
        f"Calibration{suffix}",
        paragraph(
            f"The expected calibration error is {percent(error)}: on average the model is "
            f"{percent(sure)} sure and {percent(right)} right, so it is {more} sure than right."
        ),
        reliability_chart(found, title="Reliability"),
    )


def _mistakes(files: RunFiles, result: Result, head: HeadResult, suffix: str) -> str:
    rows = confident_mistakes(head, MAX_STRIPS)
    if not len(rows):
        sentence = "Every clip was recognised."
        return section(f"Most confident mistakes{suffix}", paragraph(sentence, "note"))
    strips = [_mistake(files, result, head, int(row)) for row in rows]
    return section(f"Most confident mistakes{suffix}", *strips)


def _mistake(files: RunFiles, result: Result, head: HeadResult, row: int) -> str:
    shown = shown_path(result.paths[row], clip_roots(files, result)) if result.paths else ""
    answer, label = head.classes[head.answers[row]], head.classes[head.labels[row]]
    caption = tag(
        "figcaption",
        None,
        tag("b", None, text(label)),
        " taken for ",
        tag("b", None, text(answer)),
        text(f", {100 * head.confidences[row]:.1f} % sure. {shown}"),
    )
    return tag("figure", {"class": "strip"}, caption, _strip(files, result, row, label))


def _strip(files: RunFiles, result: Result, row: int, label: str) -> str:
    start, end = result.spans[row]
    span = (
        None if start is end is None else Span(start, end, result.facts.get("span_unit", "seconds"))
    )
    path = result.paths[row] if result.paths else ""
    return strip_image(path, span, clip_roots(files, result), label)


def _unreadable(files: RunFiles) -> str:
    data_root = Path((files.recipe.get("data") or {}).get("root") or Path())
    listed = [("training", row.get("path", ""), row.get("reason", "")) for row in files.bad_clips]
    roots = [data_root]
    for result in files.results:
        roots += clip_roots(files, result)
        listed += [
            (result.name, str(m.get("path", "")), str(m.get("reason", ""))) for m in result.missing
        ]
    if not listed:
        return section("Unreadable clips", paragraph("Every clip could be read.", "note"))
    rows = [
        (where, shown_path(path, roots), without_folders(reason, [*roots, Path(path).parent]))
        for where, path, reason in listed[:MAX_ROWS]
    ]
    more = len(listed) - len(rows)
    note = f"And {more} more, in bad_clips.csv and results.json." if more else ""
    body = table(("met in", "clip", "reason"), rows)
    return section("Unreadable clips", body, paragraph(note, "note") if note else "")


def _recipe(files: RunFiles) -> str:
    if not files.recipe_text:
        return ""
    return section("Recipe", details("recipe.yaml", tag("pre", None, text(files.recipe_text))))
