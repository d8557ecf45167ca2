"""The report of a run: one HTML file that needs no other, to read, print or send.

It is made from what lies in the run's folder, at any time: a part that is not there yet is replaced
by a sentence that says so. All numbers come from the files; nothing is computed on a device.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from marey.data.manifest.join import read_manifests
from marey.engine.inference.reconstruction import RebuiltClass, SourceClass
from marey.engine.report.charts.charts import Bar, Point, bars, reliability_chart, scatter
from marey.engine.report.charts.heatmap import MAX_CLASSES, confusion_chart
from marey.engine.report.curves import report_curves
from marey.engine.report.evaluations import HeadResult, Result
from marey.engine.report.frame_strips import (
    Strip,
    clip_roots,
    clip_strip,
    shown_path,
    without_folders,
)
from marey.engine.report.groups import estimate_table, group_part
from marey.engine.report.mistakes import confident_mistakes, confusion_table, hardest_classes
from marey.engine.report.pages import Table, write_page
from marey.engine.report.run_files import RunFiles, read_run
from marey.engine.report.summary import (
    about,
    all_results,
    claim_table,
    environment_table,
    tiles,
    views_text,
)
from marey.errors import ManifestError
from marey.metrics.calibration import reliability

MAX_STRIPS = 12
MAX_ROWS = 50
MAX_BARS = 40
MAX_PAIRS = 15
MAX_REBUILT = 8
"""Few-shot classes in a report, the rarest first: each has some four strips."""


def write_report(
    run: str | Path, out: str | Path | None = None, results: str | None = None
) -> Path:
    """Write the report of a run as one HTML file, and say where.

    Args:
        run: the folder of a run, in whatever state.
        out: the file; by default RUN/report.html.
        results: which evaluation it is about, by its name or split; by default the validation's.

    Raises:
        RunError: there is no run or no such evaluation, a file of it cannot be understood, or `out`
            cannot be written.
    """
    files = read_run(run, results)
    shown = [files.result] if files.result else []
    unreadable, num_unreadable = _unreadable(files)
    return write_page(
        Path(out) if out is not None else files.folder / "report.html",
        "report.html",
        title=files.name,
        run=files,
        result=files.result,
        about=[row for result in shown for row in about(files, result)],
        tiles=[tile for result in shown for tile in tiles(result)],
        claim=claim_table(files),
        measured_by=", ".join(views_text(result.facts) for result in shown),
        all_results=all_results(files),
        curves=report_curves(files),
        num_diverged=sum(not math.isfinite(loss) for loss in files.column("train/loss")),
        numbers=[(name, estimate_table(r, name)) for r in shown for name in r.facts.estimates],
        heads=[_head_part(files, r, head) for r in shown for head in r.heads if r.num_read],
        unreadable=unreadable,
        num_unlisted=num_unreadable - len(unreadable.rows),
        environment=environment_table(files),
    )


def _head_part(files: RunFiles, result: Result, head: HeadResult) -> dict[str, Any]:
    """What head.html shows of the answers of a head."""
    return {
        "head": head,
        **_confusions(head),
        **_classes(files, head),
        "groups": group_part(result, head),
        **_rebuilt_classes(files, result, head),
        **_calibration(head),
        "mistakes": _mistakes(files, result, head),
    }


def _confusions(head: HeadResult) -> dict[str, Any]:
    drawn = np.arange(len(head.classes))
    if len(drawn) > MAX_CLASSES:
        drawn = hardest_classes(head.confusions, MAX_CLASSES)
    counts, names = head.confusions[np.ix_(drawn, drawn)], [head.classes[i] for i in drawn]
    return {
        "num_drawn": len(drawn),
        "confusions": confusion_chart(counts, names, title="Confusion matrix"),
        "pairs": confusion_table(head, MAX_PAIRS),
    }


def _classes(files: RunFiles, head: HeadResult) -> dict[str, Any]:
    """Accuracy of each class, by its size where sizes differ."""
    sizes, source = _class_sizes(files, head)
    tips = [
        f"{name}: {accuracy:.1f} % right, {size} {source} clips"
        for name, accuracy, size in zip(head.classes, head.accuracies, sizes, strict=True)
    ]
    order = np.argsort(head.accuracies, kind="stable")[:MAX_BARS]
    title = "Accuracy of each class (%)"
    if len(head.classes) > MAX_BARS:
        title = f"The {MAX_BARS} classes of lowest accuracy (%)"
    values = [Bar(head.classes[i], float(head.accuracies[i]), tips[i]) for i in order]
    charts = [bars(values, title=title)]
    if len(set(sizes)) > 1:
        by_size = scatter(
            list(map(Point, map(float, sizes), head.accuracies, tips)),
            title="Accuracy (%) and class size",
            x_label=f"{source} clips",
            y_label="clips that are right (%)",
            y_range=(0, 100),
        )
        charts.insert(0, by_size)
    return {"class_sizes": sizes, "counted": source, "class_charts": charts}


def _class_sizes(files: RunFiles, head: HeadResult) -> tuple[list[int], str]:
    """Clips of each class, and which were counted: training clips, if their manifest is there."""
    counted = files.class_counts.get(head.name, [])
    if len(counted) == len(head.classes):
        return counted, "training"
    tested = np.bincount(head.labels, minlength=len(head.classes)).tolist()
    data = files.recipe.data
    try:
        manifest = read_manifests([data.train, *data.more], split="train", at=data.location)
    except ManifestError:  # moved or gone since: the caption says which clips are counted instead
        return tested, "test"
    if manifest.classes.get(head.name) != head.classes:
        return tested, "test"
    return manifest.class_counts(head.name).tolist(), "training"


def _rebuilt_classes(files: RunFiles, result: Result, head: HeadResult) -> dict[str, Any]:
    """The rarest classes that LMR rebuilds, with a strip of each and of what they are made of."""
    rebuilt, roots = files.reconstruction, clip_roots(files, result)
    if rebuilt is None or rebuilt.head != head.name:
        return {"rebuilt": None}

    def strip(of: RebuiltClass | SourceClass) -> Strip:
        return clip_strip(of.clip.path, of.clip.span(rebuilt.span_unit), roots, of.name)

    rarest = sorted(rebuilt.classes, key=lambda rare: rare.training_clips)[:MAX_REBUILT]
    strips = [
        (rare, strip(rare), [(each, strip(each)) for each in rare.sources]) for rare in rarest
    ]
    return {"rebuilt": rebuilt, "rebuilt_classes": strips}


def _calibration(head: HeadResult) -> dict[str, Any]:
    """How sure the model is and how often right, in percent."""
    bins = reliability(head.probabilities, head.labels)
    return {
        "calibration_error": bins.expected_calibration_error,
        "sure": 100 * float(head.confidences.mean()),
        "right": 100 * float(head.right.mean()),
        "reliability": reliability_chart(bins, title="Reliability"),
    }


def _mistakes(files: RunFiles, result: Result, head: HeadResult) -> list[tuple[Strip, str, float]]:
    """Strip, answer, and by how many percent it is the answer."""
    roots, mistakes = clip_roots(files, result), []
    for row in confident_mistakes(head, MAX_STRIPS).tolist():
        path = result.paths[row] if result.paths else ""
        strip = clip_strip(path, result.span(row), roots, head.classes[head.labels[row]])
        answer = head.classes[head.answers[row]]
        mistakes.append((strip, answer, 100 * float(head.confidences[row])))
    return mistakes


def _unreadable(files: RunFiles) -> tuple[Table, int]:
    """The first clips that training or evaluation could not read, and how many there are."""
    met = [("training", clip) for clip in files.bad_clips]
    roots = [Path(files.recipe.data.root)]
    for result in files.results:
        roots += clip_roots(files, result)
        met += [(result.name, clip) for clip in result.facts.missing]
    rows = [
        (
            where,
            shown_path(clip.path, roots),
            without_folders(clip.reason, [*roots, Path(clip.path).parent]),
        )
        for where, clip in met[:MAX_ROWS]
    ]
    return Table(("met in", "clip", "reason"), rows), len(met)
