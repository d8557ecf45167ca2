"""What is measured of one head: its numbers, and how sure each is and what it rests on.

Clips of one class each (labels int64 [n]) have accuracies, clips of several (bool [n k]) average
precisions. With the training clips of every class both come for head, tail and few-shot classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from marey.engine.results_file import ClassGroups
from marey.metrics.accuracy import known_mean
from marey.metrics.bootstrap import DRAWS
from marey.metrics.catalog import METRICS, Labels, Metric, Scores
from marey.metrics.groups import RULES, Groups, RuleName, profile
from marey.metrics.longtail import ALL, Estimate

T = TypeVar("T")


class ClassCounts(Protocol):
    """What says which classes of a head are frequent and rare."""

    def groups(self, head: str) -> Groups | None:
        """The groups of a head; None if there are none."""

    def class_groups(self, head: str) -> ClassGroups | None:
        """The same as results.json holds them, with the profile of the training clips."""


@dataclass(frozen=True, eq=False)
class TrainingCounts:
    """Head -> training clips of every class, int64 [k], and the rule that makes groups of them."""

    of: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    rule: RuleName = "paper"

    def groups(self, head: str) -> Groups | None:
        """The groups of a head; None if its counts are unknown or all equal, where none exist."""
        counts = self.of.get(head)
        if counts is None or counts.min() == counts.max():
            return None
        return RULES[self.rule](counts)

    def class_groups(self, head: str) -> ClassGroups | None:
        """The same as results.json holds them, with the profile of the training clips."""
        groups = self.groups(head)
        if groups is None:
            return None
        named = {name: classes.tolist() for name, classes in groups}
        return ClassGroups(groups.rule, profile(self.of[head]), named)


UNKNOWN = TrainingCounts()


def head_metrics(scores: Scores, labels: Labels, groups: Groups | None) -> dict[str, float]:
    """Key -> number of a head, without intervals; NaN where nothing is tested."""
    measured = cache(lambda measure: np.atleast_1d(measure(scores, labels)))  # once for all groups
    classes = {ALL: slice(None)} | dict(groups or ())
    return {
        row.key: known_mean(measured(row.measure)[classes[row.group]])
        for row in _rows(scores, labels)
        if row.measure is not None and row.group in classes
    }


def head_estimates(
    scores: Scores, labels: Labels, groups: Groups | None, *, draws: int = DRAWS
) -> dict[str, Estimate]:
    """Those of the numbers that are means over clips or classes, with their intervals."""
    estimated = cache(lambda estimate: estimate(scores, labels, groups, draws=draws))
    return {
        row.key: estimated(row.estimate)[row.group]
        for row in _rows(scores, labels)
        if row.estimate is not None and row.group in estimated(row.estimate)
    }


def metrics_of_heads(
    scores: Mapping[str, Scores],
    labels: Mapping[str, Labels],
    trained_on: ClassCounts,
    average: Literal["logits", "probs"],
) -> dict[str, float]:
    """Key -> number; of several heads those of all at once, then those of each under its name."""
    heads = {
        head: head_metrics(of, labels[head], trained_on.groups(head))
        | {"loss": mean_loss(of, labels[head], average)}
        for head, of in scores.items()
    }
    if len(heads) == 1:
        return next(iter(heads.values()))
    joint = {"loss": sum(metrics["loss"] for metrics in heads.values())}
    if all(labels[head].ndim == 1 for head in scores):
        joint = {row.key: row.joint(scores, labels) for row in METRICS if row.joint} | joint
    return joint | by_head(heads)


def by_head(heads: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """HEAD/KEY -> value, of head -> key -> value."""
    return {f"{head}/{key}": value for head, of in heads.items() for key, value in of.items()}


def mean_loss(scores: Scores, labels: Labels, average: Literal["logits", "probs"]) -> float:
    """The mean loss over the clips that have scores: cross-entropy, binary for several classes."""
    known = ~np.isnan(scores).any(axis=1)
    if not known.any():
        return float("nan")
    values, targets = torch.from_numpy(scores[known]), torch.from_numpy(labels[known])
    if labels.ndim == 2:
        return float(F.binary_cross_entropy_with_logits(values, targets.float()))
    if average == "probs":  # one that float32 rounds to 0 would make the mean infinite
        log = values.clamp_min(torch.finfo(values.dtype).tiny).log()
        return float(F.nll_loss(log, targets))
    return float(F.cross_entropy(values, targets))


def _rows(scores: Scores, labels: Labels) -> list[Metric]:
    """The rows of the catalog that clips with such labels have."""
    return [
        row
        for row in METRICS
        if row.several == (labels.ndim == 2) and row.min_classes <= scores.shape[1]
    ]
