"""The report of a run: one HTML file that needs no other, to read, print or send.

It is made from what lies in the run's folder, at any time: a part that is not there yet is replaced
by a sentence that says so. All numbers come from the files; nothing is computed on a device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from markupsafe import Markup

from marey.data.manifest.join import read_manifests
from marey.data.manifest.location import Location
from marey.engine.inference.reconstruction import Reconstruction, ShownClip, SourceClass
from marey.engine.report.charts.charts import Bar, Point, bars, reliability_chart, scatter
from marey.engine.report.charts.heatmap import MAX_CLASSES, confusion_chart
from marey.engine.report.curves import report_curves
from marey.engine.report.frame_strips import (
    Strip,
    clip_roots,
    clip_strip,
    shown_path,
    without_folders,
)
from marey.engine.report.groups import GroupPart, estimate_table, group_part
from marey.engine.report.mistakes import confident_mistakes, confusion_table, hardest_classes
from marey.engine.report.pages import Table, percent, write_page
from marey.engine.report.run_files import HeadResult, Result, RunFiles, read_run
from marey.engine.report.summary import all_results, claim_table, environment_table, tiles
from marey.errors import ManifestError
from marey.metrics.calibration import reliability
from marey.video.reading.reader import Span

MAX_STRIPS = 12
MAX_ROWS = 50
MAX_BARS = 40
MAX_PAIRS = 15
MAX_REBUILT = 8
"""Few-shot classes in a report, the rarest first: each has some four strips."""


def write_report(run: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run as one HTML file, and say where.

    Args:
        run: the folder of a run, in whatever state.
        out: the file; by default RUN/report.html.

    Raises:
        RunError: there is no run, a file of it cannot be understood, or `out` cannot be written.
    """
    files = read_run(run)
    result = files.result
    unreadable, num_unreadable = _unreadable(files)
    losses = files.column("train/loss")
    return write_page(
        Path(out) if out is not None else files.folder / "report.html",
        "report.html",
        title=files.name,
        run=files,
        result=result,
        tiles=tiles(result.facts, result.name) if result else [],
        readable=percent(result.facts.metrics_readable.get("acc/top1")) if result else "",
        claim=claim_table(files, result) if result else None,
        all_results=all_results(files),
        curves=report_curves(files),
        num_diverged=sum(not math.isfinite(loss) for loss in losses) if files.epochs else 0,
        numbers={head: estimate_table(result, head) for head in result.numbers_only}
        if result
        else {},
        heads=[_head_part(files, result, head) for head in result.heads]
        if result and result.ids
        else [],
        unreadable=unreadable,
        num_unlisted=num_unreadable - len(unreadable.rows),
        environment=environment_table(files),
    )


@dataclass(frozen=True, kw_only=True)
class HeadPart:
    """What a report shows of the answers of one head."""

    head: HeadResult
    confusions: Markup
    num_drawn: int
    """Classes in the matrix: those with most errors, if there are too many."""
    pairs: Table
    class_sizes: str
    class_charts: list[Markup]
    groups: GroupPart | None
    rebuilt: Reconstruction | None
    rebuilt_classes: list[tuple[Strip, int, list[tuple[Strip, SourceClass]]]]
    """Strip and training clips of a rare class, and those of the classes it is rebuilt from."""
    calibration: Calibration
    mistakes: list[Mistake]


@dataclass(frozen=True)
class Calibration:
    """How sure the model is and how often right, in percent."""

    error: float
    sure: float
    right: float
    chart: Markup


@dataclass(frozen=True)
class Mistake:
    """A clip that was taken for one of the class `answer`, by `sure` percent."""

    strip: Strip
    answer: str
    sure: float


def _head_part(files: RunFiles, result: Result, head: HeadResult) -> HeadPart:
    drawn = np.arange(len(head.classes))
    if len(drawn) > MAX_CLASSES:
        drawn = hardest_classes(head.confusions, MAX_CLASSES)
    names = [head.classes[i] for i in drawn]
    class_sizes, class_charts = _classes(files, head)
    rebuilt = files.reconstruction
    of_head = rebuilt if rebuilt and rebuilt.head == head.name else None
    return HeadPart(
        head=head,
        confusions=confusion_chart(
            head.confusions[np.ix_(drawn, drawn)], names, title="Confusion matrix"
        ),
        num_drawn=len(drawn),
        pairs=confusion_table(head, MAX_PAIRS),
        class_sizes=class_sizes,
        class_charts=class_charts,
        groups=group_part(result, head),
        rebuilt=of_head,
        rebuilt_classes=_rebuilt_classes(of_head, clip_roots(files, result)) if of_head else [],
        calibration=_calibration(head),
        mistakes=_mistakes(files, result, head),
    )


def _classes(files: RunFiles, head: HeadResult) -> tuple[str, list[Markup]]:
    """Which clips are counted as the sizes of classes, and accuracy by size and by class."""
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
    by_class = bars(values, title=title)
    if len(set(sizes)) == 1:
        return f"Every class has {sizes[0]} {source} clips.", [by_class]
    by_size = scatter(
        list(map(Point, map(float, sizes), head.accuracies, tips)),
        title="Accuracy (%) and class size",
        x_label=f"{source} clips",
        y_label="clips that are right (%)",
        y_range=(0, 100),
    )
    return f"Class sizes count {source} clips.", [by_size, by_class]


def _class_sizes(files: RunFiles, head: HeadResult) -> tuple[list[int], str]:
    """Clips of each class, and which clips were counted: training ones, if they can be found."""
    counted = files.class_counts.get(head.name, [])
    if len(counted) == len(head.classes):
        return counted, "training"
    tested = np.bincount(head.labels, minlength=len(head.classes)).tolist()
    data = files.recipe.data
    try:
        manifest = read_manifests(
            [data.train, *data.more], split="train", at=Location(data.root or None)
        )
    except ManifestError:  # moved or gone since: the caption says which clips are counted instead
        return tested, "test"
    if manifest.classes.get(head.name) != head.classes:
        return tested, "test"
    return manifest.class_counts(head.name).tolist(), "training"


def _rebuilt_classes(
    rebuilt: Reconstruction, roots: list[Path]
) -> list[tuple[Strip, int, list[tuple[Strip, SourceClass]]]]:
    def strip(clip: ShownClip, label: str) -> Strip:
        return clip_strip(clip.path, _span(clip.start, clip.end, rebuilt.span_unit), roots, label)

    rarest = sorted(rebuilt.classes, key=lambda rare: rare.training_clips)[:MAX_REBUILT]
    return [
        (
            strip(rare.clip, rare.name),
            rare.training_clips,
            [(strip(source.clip, source.name), source) for source in rare.sources],
        )
        for rare in rarest
    ]


def _calibration(head: HeadResult) -> Calibration:
    bins = reliability(head.probabilities, head.labels)
    return Calibration(
        error=bins.expected_calibration_error,
        sure=100 * float(head.confidences.mean()),
        right=100 * float(head.right.mean()),
        chart=reliability_chart(bins, title="Reliability"),
    )


def _mistakes(files: RunFiles, result: Result, head: HeadResult) -> list[Mistake]:
    roots, unit = clip_roots(files, result), result.facts.span_unit
    mistakes = []
    for row in confident_mistakes(head, MAX_STRIPS).tolist():
        path = result.paths[row] if result.paths else ""
        start, end = result.spans[row]
        strip = clip_strip(path, _span(start, end, unit), roots, head.classes[head.labels[row]])
        answer, sure = head.classes[head.answers[row]], 100 * float(head.confidences[row])
        mistakes.append(Mistake(strip, answer, sure))
    return mistakes


def _span(
    start: float | None, end: float | None, unit: Literal["seconds", "frames"]
) -> Span | None:
    return None if start is end is None else Span(start, end, unit)


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
