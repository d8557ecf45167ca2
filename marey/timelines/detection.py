"""Mean average precision of segments: is each where a person marked it, and are the sure ones?

A segment found and a span marked agree by their tIoU, the seconds that both have over those that
either has. For one class and one bound, over all videos at once, from the surest segment down: a
segment is right if, of the spans of its class in its video that no surer one has taken, the best
has a tIoU of the bound or more; it takes that span. So of two segments on one span the second is
wrong. Then, with precision and recall after each segment in that order,

    AP = sum over segments i that are right of  max over j >= i of precision_j  /  spans

as ActivityNet's evaluation has it (Heilbron et al. 2015, get_detection_performance.py): precision
is interpolated as in Pascal VOC 2010. THUMOS'14's own tool does not interpolate, and gives a little
less. A class of which no span is marked has no AP: it is NaN, and left out of the mean.

**Deviates** where ActivityNet's code leaves it to pandas' unstable sort: segments of one score are
taken in the order of the videos, then of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marey.metrics.intervals import Estimate
from marey.timelines.bootstrap import drawn_videos, estimate, mean_of_known
from marey.timelines.spans import Bools, Floats, Integers, Spans

TIOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""The bounds of THUMOS'14's tables."""
AT_ONCE = 1 << 22
"""Numbers of a table over sets of videos and segments that are held at once."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Every segment that was found in v videos, and whether it is right.

    Args:
        bounds: of tIoU, t of them.
        videos: int64 [p], of each segment.
        classes: int64 [p].
        scores: float64 [p].
        right: bool [t p], at each bound.
        num_marked: int64 [v k], spans of each class in each video.
    """

    bounds: tuple[float, ...]
    videos: Integers
    classes: Integers
    scores: Floats
    right: Bools
    num_marked: Integers

    def precision(self, drawn: Floats | None = None) -> Floats:
        """AP of every bound and class, from 0 to 1: [t k], or [t k r] of r sets of videos.

        drawn: how often each video is in each set, [r v]; by default once in one.
        """
        (v, k), t = self.num_marked.shape, len(self.bounds)
        sets = np.ones((1, v)) if drawn is None else drawn
        found = np.full((t, k, len(sets)), np.nan)
        for c in np.flatnonzero(self.num_marked.any(axis=0)):
            rows = np.flatnonzero(self.classes == c)
            rows = rows[np.argsort(-self.scores[rows], kind="stable")]
            size = max(1, AT_ONCE // max(1, len(rows)))
            for i in range(0, len(sets), size):
                weights, marked = sets[i : i + size], sets[i : i + size] @ self.num_marked[:, c]
                for b in range(t):
                    found[b, c, i : i + size] = _interpolated(
                        self.right[b, rows], weights[:, self.videos[rows]], marked
                    )
        return found[..., 0] if drawn is None else found


def match_segments(
    marked: Sequence[Spans],
    found: Sequence[Spans],
    num_classes: int,
    bounds: Sequence[float] = TIOU,
) -> Matches:
    """Which segments are right; `marked` and `found` are those of each of v videos.

    ValueError if there are not as many of one as of the other, or a bound is not above 0 to 1.
    """
    if len(marked) != len(found):
        raise ValueError(f"marked are {len(marked)} videos, found {len(found)}, expected as many")
    if not all(0 < bound <= 1 for bound in bounds):
        raise ValueError(f"bounds are {tuple(bounds)}, expected each above 0 and up to 1")
    right = [_right(*of_video, np.array(bounds)) for of_video in zip(marked, found, strict=True)]
    return Matches(
        bounds=tuple(bounds),
        videos=np.repeat(np.arange(len(found)), [len(each) for each in found]),
        classes=np.concatenate([np.zeros(0, np.int64), *(each.classes for each in found)]),
        scores=np.concatenate([np.zeros(0), *(each.scores for each in found)]),
        right=np.concatenate([np.zeros((len(bounds), 0), bool), *right], axis=1),
        num_marked=np.array(
            [np.bincount(each.classes, minlength=num_classes) for each in marked], np.int64
        ).reshape(-1, num_classes),
    )


def detection_estimates(matches: Matches) -> dict[str, Estimate]:
    """In percent, with intervals over videos: ``map@0.1`` ..., and ``map``, the mean over bounds.

    `num_classes` are those with a span marked, `num_clips` the videos.
    """
    v = len(matches.num_marked)
    points = 100 * mean_of_known(matches.precision(), axis=1)
    drawn = 100 * mean_of_known(matches.precision(drawn_videos(v)), axis=1)
    classes = int(matches.num_marked.any(axis=0).sum())
    rows = {
        **{f"map@{b:g}": (points[i], drawn[i]) for i, b in enumerate(matches.bounds)},
        "map": (points.mean(), drawn.mean(axis=0)),
    }
    return {
        name: estimate(float(value), sets, num_classes=classes, num_videos=v)
        for name, (value, sets) in rows.items()
    }


def tiou(one: Spans, other: Spans) -> Floats:
    """The tIoU of each pair, [n m]: 0 where they do not meet.

    >>> tiou(Spans.of([(0, 4, 0)]), Spans.of([(2, 6, 0), (4, 5, 0)])).round(3)
    array([[0.333, 0.   ]])
    """
    starts = np.maximum(one.starts[:, None], other.starts)
    ends = np.minimum(one.ends[:, None], other.ends)
    both = np.maximum(ends - starts, 0)
    either = (one.ends - one.starts)[:, None] + (other.ends - other.starts) - both
    return np.asarray(both / np.where(either > 0, either, 1))


def _right(marked: Spans, found: Spans, bounds: Floats) -> Bools:
    """Whether each segment of a video is right, bool [t p]."""
    right = np.zeros((len(bounds), len(found)), bool)
    agree = tiou(found, marked) * (found.classes[:, None] == marked.classes)
    for b, bound in enumerate(bounds):
        free = np.ones(len(marked), bool)
        for i in np.argsort(-found.scores, kind="stable"):
            of_free = np.where(free, agree[i], 0)
            if of_free.size and of_free.max() >= bound:
                right[b, i], free[of_free.argmax()] = True, False
    return right


def _interpolated(right: Bools, weights: Floats, marked: Floats) -> Floats:
    """AP [r] of segments [p] from the surest down, each so often [r p]; NaN where none is marked.

    What is there twice gives the AP of two of them: between right ones precision only rises.
    """
    hits = weights * right
    precision = hits.cumsum(axis=1) / np.maximum(weights.cumsum(axis=1), 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total = (hits * best).sum(axis=1)
    return np.where(marked > 0, total / np.maximum(marked, 1), np.nan)
