"""What a report shows of the answers of one head: confusions, classes, calibration, clips."""

from __future__ import annotations

from typing import Any

import numpy as np

from marey.data.manifest.join import read_manifests
from marey.engine.inference.reconstruction import RebuiltClass, SourceClass
from marey.engine.report.calibration_part import calibration_part
from marey.engine.report.charts.charts import Bar, Point, bars, scatter
from marey.engine.report.charts.heatmap import MAX_CLASSES, confusion_chart
from marey.engine.report.class_numbers import class_table, macro_note, threshold_charts
from marey.engine.report.evaluations import HeadResult, Result, SeveralResult
from marey.engine.report.frame_strips import ClipPictures, Strip
from marey.engine.report.groups import group_part
from marey.engine.report.mistakes import confident_mistakes, confusion_table, hardest_classes
from marey.engine.report.run_files import RunFiles
from marey.errors import ManifestError, counted
from marey.metrics.label_errors import label_suspects

MAX_STRIPS = 12
MAX_SUSPECTS = 12
MAX_BARS = 40
MAX_PAIRS = 15
MAX_REBUILT = 8
"""Few-shot classes in a report, the rarest first: each has some four strips."""


def head_part(
    files: RunFiles, result: Result, head: HeadResult, pictures: ClipPictures
) -> dict[str, Any]:
    """What head.html shows of the answers of a head."""
    return {
        "head": head,
        **_confusions(head),
        **_classes(files, result, head),
        **_class_numbers(head),
        "groups": group_part(result, head),
        **_rebuilt_classes(files, head, pictures),
        **calibration_part(files, result, head),
        "mistakes": _mistakes(result, head, pictures),
        "num_mistakes": int((~head.right).sum()),
        **_suspects(result, head, pictures),
    }


def several_part(head: SeveralResult) -> dict[str, Any]:
    """What several.html shows of the answers of a head whose clips show several classes."""
    return {"head": head, **_class_numbers(head)}


def _class_numbers(head: HeadResult | SeveralResult) -> dict[str, Any]:
    return {
        "class_table": class_table(head.classes, head.probabilities, head.targets),
        "macro": macro_note(head),
        **threshold_charts(head),
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


def _classes(files: RunFiles, result: Result, head: HeadResult) -> dict[str, Any]:
    """Accuracy of each class, by its size where sizes differ."""
    sizes, source = _class_sizes(files, result, head)
    tips = [
        f"{name}: {accuracy:.1f} % right, {counted(size, f'{source} clip')}"
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


def _class_sizes(files: RunFiles, result: Result, head: HeadResult) -> tuple[list[int], str]:
    """Clips of each class, and which were counted: training clips, if their manifest is there.

    Of folds, each of which learned from others, the clips that were tested.
    """
    known = files.class_counts.get(head.name, [])
    if len(known) == len(head.classes):
        return known, "training"
    tested = np.bincount(head.labels, minlength=len(head.classes)).tolist()
    if result.facts.repeats and result.facts.repeats.kind == "folds":
        return tested, "test"
    data = files.recipe.data
    try:
        manifest = read_manifests([data.train, *data.more], split="train", at=data.location)
    except ManifestError:  # moved or gone since: the caption says which clips are counted instead
        return tested, "test"
    if manifest.classes.get(head.name) != head.classes:
        return tested, "test"
    return manifest.class_counts(head.name).tolist(), "training"


def _rebuilt_classes(files: RunFiles, head: HeadResult, pictures: ClipPictures) -> dict[str, Any]:
    """The rarest classes that LMR rebuilds, with a strip of each and of what they are made of."""
    rebuilt = files.reconstruction
    if rebuilt is None or rebuilt.head != head.name:
        return {"rebuilt": None}

    def strip(of: RebuiltClass | SourceClass) -> Strip:
        return pictures.strip(of.clip.path, of.clip.span(rebuilt.span_unit), of.name)

    rarest = sorted(rebuilt.classes, key=lambda rare: rare.training_clips)[:MAX_REBUILT]
    strips = [
        (rare, strip(rare), [(each, strip(each)) for each in rare.sources]) for rare in rarest
    ]
    return {"rebuilt": rebuilt, "rebuilt_classes": strips}


def _mistakes(
    result: Result, head: HeadResult, pictures: ClipPictures
) -> list[tuple[Strip, str, float]]:
    """Strip, answer, and by how many percent it is the answer."""
    return [
        (_strip(result, head, row, pictures), head.classes[head.answers[row]], 100 * float(sure))
        for row in confident_mistakes(head, MAX_STRIPS).tolist()
        for sure in (head.confidences[row],)
    ]


def _suspects(result: Result, head: HeadResult, pictures: ClipPictures) -> dict[str, Any]:
    """The clips whose label may be wrong: their strip, what they look like, both probabilities."""
    found = label_suspects(head.probabilities, head.labels)
    shown = [
        (
            _strip(result, head, row, pictures),
            head.classes[other],
            *(100 * float(head.probabilities[row, c]) for c in (head.labels[row], other)),
        )
        for row, other, _ in found[:MAX_SUSPECTS]
    ]
    return {"suspects": shown, "num_suspects": len(found)}


def _strip(result: Result, head: HeadResult, row: int, pictures: ClipPictures) -> Strip:
    path = result.paths[row] if result.paths else ""
    return pictures.strip(path, result.span(row), head.classes[head.labels[row]])
