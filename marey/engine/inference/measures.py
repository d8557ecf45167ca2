"""What is measured of one head: its numbers, and how sure each is and what it rests on.

Clips of one class each (labels int64 [n]) have accuracies, clips of several (bool [n k]) average
precisions. With the training clips of every class both come for head, tail and few-shot classes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from marey.engine.inference.probabilities import Average, log_probabilities, probabilities
from marey.engine.results_file import ClassGroups
from marey.metrics.accuracy import known_mean
from marey.metrics.catalog import METRICS, Estimates, Labels, Measure, Metric, Scores, Subsets
from marey.metrics.groups import RULES, Groups, RuleName, profile
from marey.metrics.intervals import Estimate, share_interval
from marey.metrics.longtail import ALL

T = TypeVar("T")
Parts: TypeAlias = Mapping[str, npt.NDArray[np.bool_]]
"""Name of a subset -> which clips it has, bool [n]."""
NO_PARTS: Parts = MappingProxyType({})
NO_SUBSETS: Subsets = MappingProxyType({})


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


def head_metrics(
    scores: Scores, labels: Labels, groups: Groups | None, parts: Parts = NO_PARTS
) -> dict[str, float]:
    """Key -> number of a head, without intervals; NaN where nothing is tested."""
    classes = {ALL: slice(None)} | dict(groups or ())

    @cache  # once for all groups
    def measured(measure: Measure, subset: str) -> npt.NDArray[np.float64]:
        return np.atleast_1d(measure(*_part(scores, labels, parts, subset)))

    return {
        row.key: known_mean(measured(row.measure, row.subset)[classes[row.group]])
        for row in _rows(scores, labels, parts)
        if row.measure is not None and row.group in classes
    }


def head_estimates(
    scores: Scores, labels: Labels, groups: Groups | None, parts: Parts = NO_PARTS
) -> dict[str, Estimate]:
    """Those of the numbers that are means over clips or classes, with their intervals."""

    @cache
    def estimated(estimate: Estimates, subset: str) -> Mapping[str, Estimate]:
        return estimate(*_part(scores, labels, parts, subset), groups)

    return {
        row.key: estimated(row.estimate, row.subset)[row.group]
        for row in _rows(scores, labels, parts)
        if row.estimate is not None and row.group in estimated(row.estimate, row.subset)
    }


def metrics_of_heads(
    scores: Mapping[str, Scores],
    labels: Mapping[str, Labels],
    trained_on: ClassCounts,
    average: Average,
    subsets: Subsets = NO_SUBSETS,
) -> dict[str, float]:
    """Key -> number; of several heads those of all at once, then those of each under its name."""
    heads = {
        head: head_metrics(of, labels[head], trained_on.groups(head), parts_of(subsets, head))
        | {"loss": mean_loss(of, labels[head], average)}
        for head, of in scores.items()
    }
    if len(heads) == 1:
        return next(iter(heads.values()))
    joint = {key: e.value for key, e in joint_estimates(scores, labels, average, subsets).items()}
    return joint | {"loss": sum(metrics["loss"] for metrics in heads.values())} | by_head(heads)


def estimates_of_heads(
    scores: Mapping[str, Scores],
    labels: Mapping[str, Labels],
    trained_on: ClassCounts,
    average: Average,
    subsets: Subsets = NO_SUBSETS,
) -> dict[str, dict[str, Estimate]]:
    """Head -> key -> number with its interval; "" has those of all heads at once."""
    heads = {
        head: head_estimates(of, labels[head], trained_on.groups(head), parts_of(subsets, head))
        for head, of in scores.items()
    }
    joint = joint_estimates(scores, labels, average, subsets)
    return {"": joint} | heads if joint else heads


def parts_of(subsets: Subsets, head: str) -> dict[str, npt.NDArray[np.bool_]]:
    """The subsets that there are of a head, or of "action"."""
    return {name: of[head] for name, of in subsets.items() if head in of}


def joint_estimates(
    scores: Mapping[str, Scores],
    labels: Mapping[str, Labels],
    average: Average,
    subsets: Subsets = NO_SUBSETS,
) -> dict[str, Estimate]:
    """Key -> number of several heads at once, of clips with one class of each; else none."""
    if len(scores) < 2 or any(labels[head].ndim > 1 for head in scores):
        return {}
    sure = {head: log_probabilities_of(of, average) for head, of in scores.items()}
    parts, estimates = parts_of(subsets, "action"), {}
    for row in METRICS:
        heads = row.heads or tuple(sure)
        if row.joint is None or not {*heads} <= {*sure} or {row.subset} - {"", *parts}:
            continue
        if row.min_classes > math.prod(sure[head].shape[1] for head in heads):
            continue
        clips = parts[row.subset] if row.subset else slice(None)
        of, known = ({head: each[head][clips] for head in heads} for each in (sure, labels))
        value, answers = row.joint(of, known), np.column_stack([known[head] for head in heads])
        between, classes = share_interval(value, len(answers)), len(np.unique(answers, axis=0))
        estimates[row.key] = Estimate(value, *between, classes, len(answers))
    return estimates


def is_of_each(head: str, labels: Labels, several: Collection[str] | None) -> bool:
    """Whether the scores of a head are of each class alone, so that a clip may have several.

    `several` are the heads whose model says so, which decides; where nobody says (None), those
    whose clips have several: labels [n k].
    """
    return labels.ndim == 2 if several is None else head in several


def probabilities_of(scores: Scores, average: Average, *, several: bool) -> Scores:
    """How sure a model is of each class [n k]; of a head of `several` of each alone."""
    return np.asarray(probabilities(torch.from_numpy(scores), average=average, several=several))


def log_probabilities_of(scores: Scores, average: Average) -> npt.NDArray[np.float64]:
    """The logarithms [n k] of how sure it is, of clips of one class each."""
    return np.asarray(log_probabilities(torch.from_numpy(scores).double(), average=average))


def by_head(heads: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """HEAD/KEY -> value, of head -> key -> value; KEY of the head "", which is all of them."""
    return {
        f"{head}/{key}" if head else key: value
        for head, of in heads.items()
        for key, value in of.items()
    }


def mean_loss(scores: Scores, labels: Labels, average: Average) -> float:
    """The mean loss over the clips that have scores: cross-entropy, binary for several classes."""
    known = ~np.isnan(scores).any(axis=1)
    if not known.any():
        return float("nan")
    values, targets = torch.from_numpy(scores[known]), torch.from_numpy(labels[known])
    if labels.ndim == 2:
        if average == "probs":  # torch bounds their logarithms
            return float(F.binary_cross_entropy(values, targets.float()))
        return float(F.binary_cross_entropy_with_logits(values, targets.float()))
    if average == "probs":  # one that float32 rounds to 0 would make the mean infinite
        log = values.clamp_min(torch.finfo(values.dtype).tiny).log()
        return float(F.nll_loss(log, targets))
    return float(F.cross_entropy(values, targets))


def _rows(scores: Scores, labels: Labels, parts: Parts) -> list[Metric]:
    """The rows of the catalog that clips with such labels have."""
    return [
        row
        for row in METRICS
        if row.several == (labels.ndim == 2)
        and row.min_classes <= scores.shape[1]
        and (not row.subset or row.subset in parts)
    ]


def _part(scores: Scores, labels: Labels, parts: Parts, subset: str) -> tuple[Scores, Labels]:
    """Scores and labels of the clips of a subset, of all for ""."""
    return (scores[parts[subset]], labels[parts[subset]]) if subset else (scores, labels)
