"""Every class among the others: a table of what is found of it, and what other thresholds would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from marey.engine.report.charts.charts import Series, line_chart
from marey.engine.report.evaluations import HeadResult, SeveralResult
from marey.engine.report.pages import Table, of_numbers, with_interval
from marey.errors import counted
from marey.metrics.catalog import DASH, Scores
from marey.metrics.detection import Bools, Detection, curve, detections
from marey.metrics.intervals import Interval

MAX_CLASSES = 200
"""Rows of the table; of more classes the worst."""
MAX_CURVES = 6


def worst_first(found: Sequence[Detection]) -> list[int]:
    """The classes by rising F1, those that nothing tests last."""
    return sorted(range(len(found)), key=lambda c: (math.isnan(found[c].f1), found[c].f1))


def class_table(classes: Sequence[str], probabilities: Scores, targets: Bools) -> Table:
    """A row a class, the worst first, of probabilities and targets [n k]."""
    found = detections(probabilities, targets)
    rows = [
        (
            classes[c],
            of.num_clips,
            of.num_found,
            _share(of.precision, of.precision_interval),
            _share(of.recall, of.recall_interval),
            _share(of.f1, of.f1_interval),
            _share(of.auc, of.auc_interval),
            _number(of.average_precision),
            f"{of.threshold:.3f}" if math.isfinite(of.threshold) else DASH,
            _number(of.f1_there),
        )
        for c in worst_first(found)[:MAX_CLASSES]
        for of in (found[c],)
    ]
    return of_numbers(rows, (*_FOUND, *_OF_ALL_THRESHOLDS))


_FOUND = ("class", "clips", "taken for it", "precision", "recall", "F1")
_OF_ALL_THRESHOLDS = ("ROC AUC", "AP", "threshold", "best F1")


def macro_note(head: HeadResult | SeveralResult) -> str:
    """The means over classes in a sentence."""
    found = [of for of in detections(head.probabilities, head.targets) if of.num_clips]
    if not found:
        return ""
    f1 = np.mean([of.f1 for of in found])
    areas = [of.auc for of in found if not math.isnan(of.auc)]  # none of a class of all clips
    area = f", ROC AUC {np.mean(areas):.1f} %" if areas else ""
    return f"Means over {counted(len(found), 'class')} with clips: F1 {f1:.1f} %{area}."


def threshold_charts(head: HeadResult | SeveralResult) -> dict[str, Any]:
    """ROC, and precision over recall, of the `MAX_CURVES` classes of the lowest F1.

    Of two classes that exclude one another it is the rarer alone, as the curve of the other says
    the same. None where clips have one of many classes: there is no threshold to choose.
    """
    sizes = head.targets.sum(axis=0)
    if isinstance(head, HeadResult):
        shown = [int(sizes.argmin())] if len(sizes) == 2 else []
    else:
        found = detections(head.probabilities, head.targets)
        shown = [c for c in worst_first(found) if found[c].num_clips][:MAX_CURVES]
    roc, precisions = [], []
    for c in shown:
        of, name = curve(head.probabilities[:, c], head.targets[:, c]), head.classes[c]
        precision, recall, false = (
            (100 * each).tolist() for each in (of.precision, of.recall, of.false_positive_rate)
        )
        roc.append(Series(name, false, recall))
        precisions.append(Series(name, recall, precision))
    if not shown:
        return {"threshold_charts": []}
    of_whom = f": {head.classes[shown[0]]}" if len(shown) == 1 else ""
    charts = [
        line_chart(
            roc,
            title=f"ROC{of_whom}",
            x_label="other clips taken for it (%)",
            y_label="found of its clips (%)",
            y_range=(0, 100),
        ),
        line_chart(
            precisions,
            title=f"Precision over recall{of_whom}",
            x_label="recall (%)",
            y_label="precision (%)",
            y_range=(0, 100),
        ),
    ]
    tested = int((sizes > 0).sum())
    most = f"The {len(shown)} classes of the lowest F1 are drawn." if len(shown) < tested else ""
    return {"threshold_charts": charts, "thresholds_of": "" if len(shown) == 1 else most}


def _number(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:.1f}"


def _share(value: float, between: Interval) -> str:
    return with_interval(_number(value), between)
