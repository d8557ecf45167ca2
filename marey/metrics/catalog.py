"""The numbers that are measured, each named once: its key, how it is shown and what computes it.

A row of `METRICS` is all that an evaluation, train.log, metrics.csv, results.json, the pages and
`save_best` know of a number; they show numbers in the order of the rows. Where a model has several
heads the name of one stands in front of its keys (verb/acc/few), and keys without it are of all
heads at once. `add_metric` adds a row of your own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from marey.metrics.accuracy import class_accuracy, joint_accuracy, topk_accuracy
from marey.metrics.actions import action_accuracy
from marey.metrics.average_precision import (
    class_precision,
    hit_at,
    hit_estimate,
    mean_average_precision,
)
from marey.metrics.intervals import Estimate
from marey.metrics.longtail import ALL, class_accuracy_estimates, topk_estimate

Scores: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[Any]
"""int64 [n], or bool [n k] where clips have several classes."""
Measure: TypeAlias = Callable[[Scores, Labels], float | npt.NDArray[np.float64]]
Estimates: TypeAlias = Callable[..., Mapping[str, Estimate]]
Joint: TypeAlias = Callable[[Mapping[str, npt.NDArray[Any]], Mapping[str, Labels]], float]
Subsets: TypeAlias = Mapping[str, Mapping[str, npt.NDArray[np.bool_]]]
"""Name of a part -> head, or "action" for all heads at once -> which clips it has, bool [n]."""

DASH = "–"
"""What stands for a number of which nothing was tested, wherever people read it."""
LOSS = "Loss"
ACCURACY = "Validation accuracy (%)"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number: its names, how it is shown, and, if it is measured of scores, by what.

    Args:
        key: its name in results.json, for `save_best` and on the command line.
        title: its name on pages.
        unit: "%", or what stands behind the number; "" for none.
        higher_is_better: None where neither is.
        column: its name in metrics.csv, where that is not `key`.
        chart: the title of the chart of a report that has its curve; "" draws none.
        headline: whether it stands at the top of a report and in the table of a comparison.
        watched: whether it stands in the line of train.log that ends an epoch, and has a chart of
            its own in a comparison.
        measure: scores [n k], NaN for a clip without, and labels (int64 [n], or bool [n k] of clips
            with several classes) -> the number, or one of every class [k], NaN for a class without
            clips, of which the mean over `group` is taken.
        group: whose classes count, "head" ...; by default all.
        estimate: (scores, labels, groups or None) -> `ALL` and each group -> the number and its
            interval. There may be none.
        joint: head -> log-probabilities [n k], head -> labels -> the share of the clips that all
            heads at once get right.
        heads: those whose joint number it is; by default any.
        subset: of which clips it is, "tail" or "unseen" of EPIC-KITCHENS; by default of all.
        several: whether it is of clips with several classes each, instead of one.
        min_classes: a head of fewer has no such number, nor heads of fewer combinations.
    """

    key: str
    title: str
    unit: str = "%"
    higher_is_better: bool | None = True
    column: str = ""
    chart: str = ""
    headline: bool = False
    watched: bool = False
    measure: Measure | None = None
    group: str = ALL
    estimate: Estimates | None = None
    joint: Joint | None = None
    heads: tuple[str, ...] = ()
    subset: str = ""
    several: bool = False
    min_classes: int = 1

    @property
    def heading(self) -> str:
        """The title with the unit, over numbers without one: top-1 (%)."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def number(self, value: float, digits: int = 1) -> str:
        """The value without its unit, or a dash for NaN; `digits` are those of percentages."""
        if math.isnan(value):
            return DASH
        return f"{value:.{digits}f}" if self.unit == "%" else f"{value:.4g}"

    def text(self, value: float, digits: int = 1) -> str:
        """The same with its unit."""
        unit = "" if math.isnan(value) else self.unit
        return f"{self.number(value, digits)} {unit}".strip()


_run = partial(Metric, unit="", higher_is_better=None)
_loss = partial(Metric, unit="", higher_is_better=False, chart=LOSS, watched=True)
_accuracy = partial(
    Metric, chart=ACCURACY, measure=class_accuracy, estimate=class_accuracy_estimates
)
_precision = partial(
    Metric, chart=ACCURACY, measure=class_precision, estimate=mean_average_precision, several=True
)
_top = partial(Metric, chart=ACCURACY, headline=True)
_hit = partial(_top, several=True)
_part = partial(Metric, measure=topk_accuracy, estimate=topk_estimate)
_action = partial(Metric, joint=action_accuracy, heads=("verb", "noun"))

METRICS: list[Metric] = [
    _run(key="epoch", title="epoch"),
    _run(key="step", title="step"),
    _loss(key="train/loss", title="training loss"),
    _run(key="clips_per_second", title="clips a second"),
    _run(key="data_wait", title="share of time spent waiting for data"),
    _loss(key="loss", title="validation loss", column="val/loss"),
    _top(
        key="acc/top1",
        title="top-1",
        watched=True,
        measure=topk_accuracy,
        estimate=topk_estimate,
        joint=joint_accuracy,
    ),
    _top(
        key="acc/top5",
        title="top-5",
        measure=partial(topk_accuracy, k=5),
        estimate=partial(topk_estimate, k=5),
        min_classes=6,
    ),
    _part(key="acc/top1/tail", title="top-1 of the tail", subset="tail"),
    _part(key="acc/top1/unseen", title="top-1 of unseen people", subset="unseen"),
    _action(key="action/top1", title="action top-1"),
    _action(
        key="action/top5", title="action top-5", joint=partial(action_accuracy, k=5), min_classes=6
    ),
    _action(
        key="action/top5_of_each",
        title="verb and noun in the top-5 of each",
        joint=partial(joint_accuracy, k=5),
        min_classes=6,
    ),
    _action(key="action/top1/tail", title="action top-1 of the tail", subset="tail"),
    _action(key="action/top1/unseen", title="action top-1 of unseen people", subset="unseen"),
    _accuracy(key="acc/class_avg", title="class average", headline=True),
    _accuracy(key="acc/head", title="head classes", group="head"),
    _accuracy(key="acc/medium", title="medium classes", group="medium"),
    _accuracy(key="acc/tail", title="tail classes", group="tail"),
    _accuracy(key="acc/few", title="few-shot classes", group="few", watched=True),
    _precision(key="mAP", title="mAP", headline=True, watched=True),
    _precision(key="mAP/head", title="mAP of head classes", group="head"),
    _precision(key="mAP/medium", title="mAP of medium classes", group="medium"),
    _precision(key="mAP/tail", title="mAP of tail classes", group="tail"),
    _precision(key="mAP/few", title="mAP of few-shot classes", group="few"),
    _hit(key="hit@1", title="hit@1", measure=hit_at, estimate=hit_estimate, min_classes=2),
    _hit(
        key="hit@5",
        title="hit@5",
        measure=partial(hit_at, k=5),
        estimate=partial(hit_estimate, k=5),
        min_classes=6,
    ),
    _run(key="lr", title="learning rate", chart="Learning rate", watched=True),
]


def add_metric(metric: Metric) -> Metric:
    """Adds a row behind the others and returns it.

    Raises:
        ValueError: the key is that of another row.

    >>> metric = add_metric(Metric(key="acc/half", title="half", measure=lambda *_: 50.0))
    >>> METRICS.remove(metric)
    """
    if find_metric(metric.key) is not None:
        raise ValueError(f"key is '{metric.key}', which marey.metrics.catalog has already")
    METRICS.append(metric)
    return metric


@dataclass(frozen=True)
class Named:
    """A row under the name it has for one of several heads, or for all at once ("")."""

    metric: Metric
    head: str

    @property
    def key(self) -> str:
        """Its name in results.json and for `save_best`."""
        return self._of_head(self.metric.key)

    @property
    def column(self) -> str:
        """Its name in metrics.csv."""
        return self._of_head(self.metric.column or self.metric.key)

    @property
    def title(self) -> str:
        """Its name on pages: "top-1: verb"."""
        return self.metric.title + self.suffix

    @property
    def heading(self) -> str:
        """Its name over numbers without a unit: "top-1 (%): verb"."""
        return self.metric.heading + self.suffix

    @property
    def suffix(self) -> str:
        """What says on pages which head it is of."""
        return f": {self.head}" if self.head else ""

    def _of_head(self, name: str) -> str:
        return f"{self.head}/{name}" if self.head else name


def find_metric(name: str) -> Named | None:
    """The row and the head of a key or of a column of metrics.csv; None if no row has that name.

    >>> named = find_metric("verb/acc/few")
    >>> named.head, named.metric.title
    ('verb', 'few-shot classes')
    """
    rows = {key: row for row in METRICS for key in (row.key, row.column or row.key)}
    head, _, rest = name.partition("/")
    if name in rows:
        return Named(rows[name], "")
    return Named(rows[rest], head) if rest in rows else None


def headlines(keys: Iterable[str]) -> dict[str, Named]:
    """Those of the keys that stand above all others.

    Where there are several heads these are what counts them all at once, and the first of each.

    >>> list(headlines(["loss", "acc/top1", "acc/top5", "acc/few"]))
    ['acc/top1', 'acc/top5']
    """
    chosen: dict[str, Named] = {}
    for key in keys:
        named = find_metric(key)
        if named is None or not named.metric.headline:
            continue
        if not named.head or named.head not in {other.head for other in chosen.values()}:
            chosen[key] = named
    return chosen


def interval_text(estimate: Estimate, digits: int = 1) -> str:
    """The interval of a number in words, or a dash where nothing is tested."""
    if math.isnan(estimate.low):
        return DASH
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"
