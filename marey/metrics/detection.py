"""How well each class is found among the others: precision, recall, F1, ROC AUC and thresholds.

For rare events accuracy says little: with 2 % falls a model
that never sees one is right in 98 % of the clips. What is said of a *threshold* is of all of them
at once: the ROC curve (Fawcett 2006, doi:10.1016/j.patrec.2005.10.010), precision over recall, and
the one whose F1 is the highest.

Intervals: precision and recall are shares of clips (Wilson); F1 = 2 J / (1 + J) of the share
J = TP / (TP + FP + FN), and so are its ends; AUC is taken for a share of the smaller of the two
classes, whose variance that of AUC does not exceed (Birnbaum and Klose 1957,
doi:10.1214/aoms/1177706986), so its interval is wide rather than narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marey.metrics.accuracy import Labels, Scores
from marey.metrics.average_precision import average_precision
from marey.metrics.intervals import Floats, Interval, share_interval

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """One class among the others, in percent; NaN where nothing is tested or nothing was found."""

    num_clips: int
    """Clips that show it."""
    num_found: int
    """Clips that are taken for it."""
    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    f1: float
    f1_interval: Interval
    auc: float
    auc_interval: Interval
    average_precision: float
    threshold: float
    """The probability of the highest F1: clips of it or a higher one are taken for the class."""
    precision_there: float
    """Of that threshold. It is chosen on these clips: on others these three are likely lower."""
    recall_there: float
    f1_there: float


@dataclass(frozen=True, eq=False)
class Curve:
    """What every threshold [t] gives for one class, from none to all clips; shares of 1."""

    thresholds: Floats
    """The lowest score that is taken for the class; the first, +inf, is passed by none."""
    precision: Floats
    """1 where nothing is taken for the class."""
    recall: Floats
    """NaN without a clip that shows it."""
    false_positive_rate: Floats
    """NaN without a clip that does not."""

    @property
    def auc(self) -> float:
        """The area under recall over false positive rate."""
        return float(np.trapezoid(self.recall, self.false_positive_rate))

    @property
    def f1(self) -> Floats:
        """Of each threshold."""
        total = self.precision + self.recall
        return np.asarray(2 * self.precision * self.recall / np.where(total == 0, 1, total))


def curve(scores: Scores, positive: Bools) -> Curve:
    """The curve of a class by the scores [n] of its clips; one without a score comes last."""
    order = np.argsort(-scores, kind="stable")  # NaN sorts last
    ranked = np.nan_to_num(scores[order].astype(np.float64), nan=-np.inf)
    last = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
    found = np.append(0, np.flatnonzero(last) + 1)
    right = np.append(0, positive[order].cumsum()[last])
    with np.errstate(invalid="ignore"):
        return Curve(
            thresholds=np.append(np.inf, ranked[last]),
            precision=np.where(found > 0, right / np.maximum(found, 1), 1.0),
            recall=right / np.float64(positive.sum()),
            false_positive_rate=(found - right) / np.float64((~positive).sum()),
        )


def targets_of(labels: Labels, num_classes: int) -> Bools:
    """Whether each class is shown, bool [n k], by labels int64 [n] or, of several, bool [n k]."""
    if labels.ndim == 2:
        return np.greater(labels, 0)
    return np.equal(labels[:, None], np.arange(num_classes))


def detections(probabilities: Scores, targets: Bools) -> list[Detection]:
    """Each class [k], of probabilities and targets [n k]; NaN for a clip that could not be read.

    Where each clip shows one class that is found which is the likeliest, else every class of a
    probability of at least one half.
    """
    read = ~np.isnan(probabilities).any(axis=1)
    if (targets.sum(axis=1) == 1).all():
        found: Bools = np.zeros(targets.shape, bool)
        found[read, probabilities[read].argmax(axis=1)] = True
    else:
        found = np.greater_equal(
            probabilities, 0.5, out=np.zeros(targets.shape, bool)
        )  # False for NaN
    precisions = 100 * average_precision(probabilities, targets)
    return [
        _detection(probabilities[:, c], targets[:, c], found[:, c], float(precisions[c]))
        for c in range(targets.shape[1])
    ]


def _detection(scores: Scores, positive: Bools, found: Bools, precision: float) -> Detection:
    right, p, taken = (int(each.sum()) for each in (found & positive, positive, found))
    either = p + taken - right
    jaccard = share_interval(_percent(right, either), either)
    whole = curve(scores, positive)
    best = int(np.nanargmax(whole.f1)) if p else 0
    auc = 100 * whole.auc
    return Detection(
        num_clips=p,
        num_found=taken,
        precision=_percent(right, taken),
        precision_interval=share_interval(_percent(right, taken), taken),
        recall=_percent(right, p),
        recall_interval=share_interval(_percent(right, p), p),
        f1=_percent(2 * right, p + taken) if p else float("nan"),
        f1_interval=Interval(*(200 * end / (100 + end) for end in jaccard)),
        auc=auc,
        auc_interval=share_interval(auc, min(p, len(positive) - p)),
        average_precision=precision,
        threshold=float(whole.thresholds[best]) if p else float("nan"),
        precision_there=100 * float(whole.precision[best]) if p else float("nan"),
        recall_there=100 * float(whole.recall[best]),
        f1_there=100 * float(whole.f1[best]),
    )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float("nan")
