"""What is measured of one head: its numbers, and how sure each is and what it rests on.

Clips of one class each (labels int64 [n]) have accuracies, clips of several (bool [n k]) average
precisions. With the training clips of every class both come for head, tail and few-shot classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from marey.metrics.accuracy import class_average, topk_accuracy
from marey.metrics.average_precision import group_precisions, hit_at, mean_average_precision
from marey.metrics.bootstrap import DRAWS
from marey.metrics.groups import RULES, Groups, RuleName, profile
from marey.metrics.longtail import Estimate, estimates, group_accuracies

Scores: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[Any]
"""int64 [n], or bool [n k] where clips have several classes."""


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

    def facts(self, head: str) -> dict[str, Any]:
        """The groups of a head in plain data: rule, H%, F%, imbalance, classes; {} without any."""
        groups = self.groups(head)
        if groups is None:
            return {}
        named = {name: classes.tolist() for name, classes in groups}
        return {"rule": groups.rule, "train": asdict(profile(self.of[head])), "classes": named}


UNKNOWN = TrainingCounts()


def head_metrics(scores: Scores, labels: Labels, groups: Groups | None) -> dict[str, float]:
    """The numbers of a head in percent, without intervals."""
    if labels.ndim == 2:
        hits = {f"hit@{k}": hit_at(scores, labels, k) for k in (1, 5) if k < scores.shape[1]}
        return group_precisions(scores, labels, groups) | hits
    metrics = {"acc/top1": topk_accuracy(scores, labels)}
    if scores.shape[1] > 5:
        metrics["acc/top5"] = topk_accuracy(scores, labels, 5)
    metrics["acc/class_avg"] = class_average(scores, labels)
    return metrics | (group_accuracies(scores, labels, groups) if groups else {})


def head_estimates(
    scores: Scores, labels: Labels, groups: Groups | None, *, draws: int = DRAWS
) -> dict[str, Estimate]:
    """Those of the numbers that are means over clips or classes, with their intervals."""
    if labels.ndim == 2:
        return mean_average_precision(scores, labels, groups, draws=draws)
    return estimates(scores, labels, groups, draws=draws)


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
