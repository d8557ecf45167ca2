"""How right a timeline is at each moment: accuracy, and for several labels at a time mAP.

Moments are the middles of equal steps of each video, all counted alike, so that long videos count
for more. A moment that no span is marked at is *background*: nothing is right there but no segment.

    accuracy           share of all moments whose answer is right
    accuracy/marked    the same of those with a span: a timeline that is empty has 0
    map                mean over classes of average precision, by the probabilities of each moment,
                       without interpolation, as in Charades and MultiTHUMOS; background moments
                       are negatives of every class

Where several classes are marked at once, a timeline of one label at a time is right if it says any
of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marey.metrics.intervals import Estimate
from marey.timelines.bootstrap import drawn_videos, estimate, mean_of_known
from marey.timelines.detection import AT_ONCE
from marey.timelines.spans import Bools, Floats, Spans


@dataclass(frozen=True, eq=False)
class Watched:
    """One video at its moments.

    Args:
        marked: bool [m k], the classes that a person marked.
        found: bool [m k], those of the segments that were found.
        scores: float64 [m k], the probabilities behind them; NaN where there are none.
    """

    marked: Bools
    found: Bools
    scores: Floats

    @classmethod
    def of(cls, middles: Floats, scores: Floats, marked: Spans, found: Spans) -> Watched:
        """The spans of a video at these moments, in seconds [m]."""
        k = scores.shape[1]
        return cls(marked.shown_at(middles, k), found.shown_at(middles, k), scores)


def accuracy_estimates(videos: Sequence[Watched]) -> dict[str, Estimate]:
    """``accuracy`` and ``accuracy/marked`` of one label at a time, percent, with intervals."""
    counts = np.array([_counts(video) for video in videos], np.float64).reshape(-1, 4)
    sets = drawn_videos(len(videos)) @ counts
    classes = int(_marked_classes(videos).sum())
    rows = {"accuracy": (0, 1), "accuracy/marked": (2, 3)}
    with np.errstate(invalid="ignore"):
        return {
            name: estimate(
                100 * float(np.divide(*counts.sum(axis=0)[[right, all_of]])),
                100 * sets[:, right] / sets[:, all_of],
                num_classes=classes,
                num_videos=len(videos),
            )
            for name, (right, all_of) in rows.items()
        }


def precision_estimate(videos: Sequence[Watched]) -> Estimate:
    """The mean average precision over moments, in percent, with its interval."""
    shown = _marked_classes(videos)
    drawn = drawn_videos(len(videos))
    points, sets = (
        100 * mean_of_known(moment_precision(videos, each), axis=0)
        for each in (np.ones((1, len(videos))), drawn)
    )
    return estimate(float(points[0]), sets, num_classes=int(shown.sum()), num_videos=len(videos))


def moment_precision(videos: Sequence[Watched], drawn: Floats) -> Floats:
    """AP of every class in r sets of videos, [k r] from 0 to 1; NaN where nothing is marked.

    drawn: how often each video is in each set, [r v].
    """
    shown = _marked_classes(videos)
    found = np.full((len(shown), len(drawn)), np.nan)
    if not len(videos):
        return found
    scores = np.concatenate([np.nan_to_num(video.scores, nan=-1.0) for video in videos])
    marked = np.concatenate([video.marked for video in videos])
    of_video = np.repeat(np.arange(len(videos)), [len(video.marked) for video in videos])
    size = max(1, AT_ONCE // max(1, len(scores)))
    for c in np.flatnonzero(shown):
        order = np.argsort(-scores[:, c], kind="stable")
        ranked, hit = scores[order, c], marked[order, c]
        last = np.searchsorted(-ranked, -ranked, side="right") - 1  # moments of one score together
        for i in range(0, len(drawn), size):
            weights = drawn[i : i + size, of_video[order]]
            hits = weights * hit
            with np.errstate(invalid="ignore", divide="ignore"):
                precision = hits.cumsum(axis=1)[:, last] / weights.cumsum(axis=1)[:, last]
                sums = np.where(hits > 0, hits * precision, 0).sum(axis=1)
                found[c, i : i + size] = sums / hits.sum(axis=1)
    return found


def _counts(video: Watched) -> tuple[int, int, int, int]:
    """Moments that are right and all, then those of the moments that are marked."""
    is_marked = video.marked.any(axis=1)
    right = np.where(is_marked, (video.marked & video.found).any(axis=1), ~video.found.any(axis=1))
    return int(right.sum()), len(right), int(right[is_marked].sum()), int(is_marked.sum())


def _marked_classes(videos: Sequence[Watched]) -> Bools:
    """Whether any moment of any video has each class marked, bool [k]."""
    if not videos:
        return np.zeros(0, bool)
    return np.asarray(np.array([video.marked.any(axis=0) for video in videos]).any(axis=0))
