"""Scores of windows -> scores of moments -> segments: what happens in a long video, and when.

    windows [n 2], probabilities [n k]     what the model says of each window
        |   moments                        each tenth of a second, by the windows around it
        v
    Moments: edges [m + 1], scores [m k]
        |   smooth                         a moving average over time
        |   background, threshold, hold    runs of moments that show a class
        |   merge, min_duration            gaps and flicker
        v
    Segments: start, end, label, score

A window says most of its middle: a moment is the mean of the windows over it, weighted by how near
their middles are, from 1 there down to 0 at their ends. With a window every half of its length that
is the straight line from the scores of one window to those of the next, so that a label changes
where the two lines cross. A plain mean would change in steps, at the ends of windows, which say
nothing of the video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from marey.errors import did_you_mean
from marey.types import check_numbers

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NEAR = 1e-6
"""Seconds by which two times may differ and be the same."""
ONE_LABEL = 0.0
"""The threshold of heads whose clips have one class each: the likeliest class is always shown."""
SEVERAL_LABELS = 0.5
"""That of heads whose clips have several classes: a class is shown if it is likelier than not."""


@dataclass(frozen=True, kw_only=True)
class SegmentRule:
    """When moments are a segment. By default each moment shows its likeliest class.

    Args:
        step: seconds of a moment; no longer than half of the shortest window.
        smooth: seconds over which scores are averaged, half of them before a moment and half after:
            a moment is the mean of those whose middles are that near. 0 leaves them.
        threshold: the probability that some moment of a segment reaches; by default 0 of heads
            whose clips have one class each, 0.5 of those that have several.
        thresholds: classes that have another one, by name.
        hold: the lower probability by which a segment that reaches its threshold goes on, to both
            sides; it needs a threshold, which it is by default.
        background: the class that is no segment, by name; "" if there is none.
        merge: segments of one class are one if the gap between them is at most so many seconds, and
            nothing else was found in it (of a head whose clips have several classes: whatever was).
        min_duration: shorter segments are left out. What they stood between is merged after that.

    Raises:
        ValueError: a number is out of bounds.
    """

    step: float = 0.1
    smooth: float = 0.0
    threshold: float | None = None
    thresholds: tuple[tuple[str, float], ...] = ()
    hold: float | None = None
    background: str = ""
    merge: float = 0.0
    min_duration: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(above=0, step=self.step)
        check_numbers(
            at_least=0, smooth=self.smooth, merge=self.merge, min_duration=self.min_duration
        )
        check_numbers(at_least=0, at_most=1, threshold=self.threshold, hold=self.hold)
        if self.hold is not None and self.threshold is None:
            raise ValueError(
                f"hold is {self.hold}, without a threshold that it goes on below. "
                "hint: give the threshold too"
            )
        if self.hold is not None and self.threshold is not None and self.hold > self.threshold:
            raise ValueError(
                f"hold is {self.hold}, above the threshold {self.threshold} that it goes on below"
            )
        for name, threshold in self.thresholds:
            check_numbers(at_least=0, at_most=1, **{f"the threshold of {name!r}": threshold})

    def check_classes(self, classes: Mapping[str, Sequence[str]]) -> None:
        """ValueError if the rule names a class of none of these heads."""
        known = [name for names in classes.values() for name in names]
        for name in (self.background, *(name for name, _ in self.thresholds)):
            if name and name not in known:
                said = "the background is" if name == self.background else "a threshold is of"
                raise ValueError(
                    f"{said} {name!r}, which is none of the model's classes. "
                    f"hint: {did_you_mean(name, known)}"
                )

    def bounds(self, classes: Sequence[str], *, several: bool) -> tuple[Floats, Floats]:
        """The thresholds of every class, and the lower ones that hold it, each float64 [k]."""
        default = SEVERAL_LABELS if several else ONE_LABEL
        threshold = default if self.threshold is None else self.threshold
        own = dict(self.thresholds)
        high = np.array([own.get(name, threshold) for name in classes])
        return high, high if self.hold is None else np.minimum(high, self.hold)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One class from `start` up to `end`, in seconds.

    Args:
        score: the mean of its probability over these moments.
        head: whose class it is, of a model of several heads.
    """

    start: float
    end: float
    label: str
    score: float
    head: str = ""

    def to_json(self) -> dict[str, str | float]:
        """As commands and pages give it; `head` only if there are several."""
        about: dict[str, str | float] = {"head": self.head} if self.head else {}
        time = {"start": round(self.start, 3), "end": round(self.end, 3)}
        return time | about | {"label": self.label, "score": round(self.score, 6)}


@dataclass(frozen=True, eq=False)
class Moments:
    """Probabilities over time.

    Args:
        edges: float64 [m + 1], seconds; moment i lasts from edge i to edge i + 1.
        scores: float64 [m k], from 0 to 1; NaN where no window is.
    """

    edges: Floats
    scores: Floats

    @property
    def middles(self) -> Floats:
        """Seconds [m]."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def smoothed(self, seconds: float) -> Moments:
        """Each moment as the mean of those around it; where no window is, still NaN."""
        if len(self.scores) < 2:
            return self
        half = int(seconds / (self.edges[1] - self.edges[0]) / 2 + NEAR)
        if half == 0:
            return self
        known = ~np.isnan(self.scores[:, 0])
        number = np.maximum(_sums_around(known.astype(np.float64), half), 1)
        smooth = np.empty_like(self.scores)
        for c, of_class in enumerate(self.scores.T):  # of hours and many classes one at a time
            mean = _sums_around(np.where(known, of_class, 0.0), half) / number
            smooth[:, c] = np.where(known, mean.clip(0, 1), np.nan)  # sums are rounded
        return replace(self, scores=smooth)


def find_segments(
    windows: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    classes: Sequence[str],
    rule: SegmentRule | None = None,
    *,
    several: bool = False,
    head: str = "",
) -> list[Segment]:
    """The segments of one head, by their start.

    Segments of a head whose clips have one class each never overlap.

    >>> found = find_segments([[0, 2], [1, 3], [2, 4]], [[0.8, 0.2], [0.6, 0.4], [0.0, 1.0]],
    ...                       ["run", "sit"])
    >>> [(of.label, round(of.start, 1), round(of.end, 1)) for of in found]
    [('run', 0.0, 2.2), ('sit', 2.2, 4.0)]

    Args:
        windows: [n 2], the start and end of each in seconds.
        probabilities: [n k], of every class in every window, from 0 to 1.
        classes: their k names.
        rule: when moments are a segment.
        several: whether clips have several classes, each with a probability of its own.
        head: the name that the segments get.

    Raises:
        ValueError: shapes that do not go together, windows that last no time, or scores that are
            no probabilities.
    """
    rule = rule or SegmentRule()
    found = moments(windows, probabilities, step=rule.step).smoothed(rule.smooth)
    return segments_of(found, classes, rule, several=several, head=head)


def moments(windows: npt.ArrayLike, probabilities: npt.ArrayLike, *, step: float = 0.1) -> Moments:
    """The probabilities of every moment from the first window's start to the last one's end.

    Args, and errors: as `find_segments`, of which `step` is that of the rule.
    """
    times, scores = _checked(windows, probabilities)
    if not len(times):
        return Moments(np.zeros(1), np.zeros((0, scores.shape[1])))
    first, last = float(times[:, 0].min()), float(times[:, 1].max())
    step = min(step, float((times[:, 1] - times[:, 0]).min()) / 2)
    count = max(1, int(np.ceil((last - first) / step - NEAR)))
    edges = np.append(first + step * np.arange(count), last)
    middles = (edges[:-1] + edges[1:]) / 2
    total, weights = np.zeros((count, scores.shape[1])), np.zeros((count, 1))
    for (start, end), of_window in zip(times, scores, strict=True):
        over = slice(*np.searchsorted(middles, [start - NEAR, end - NEAR]))
        half = (end - start) / 2
        near = 1 - np.abs(middles[over, None] - (start + half)) / half
        near = np.maximum(near, NEAR)  # at the very ends of the video, where nothing else is
        total[over] += near * of_window
        weights[over] += near
    with np.errstate(invalid="ignore"):  # in place: of hours and many classes it is large
        np.divide(total, weights, out=total)
    return Moments(edges, np.clip(total, 0, 1, out=total))


def segments_of(
    found: Moments,
    classes: Sequence[str],
    rule: SegmentRule,
    *,
    several: bool = False,
    head: str = "",
) -> list[Segment]:
    """The segments in moments whose scores are smoothed already; else as `find_segments`."""
    shown, lasting = _shown(found.scores, classes, rule, several=several)
    runs = [
        _Run(first, stop, int(c))
        for c in np.flatnonzero(shown.any(axis=0))
        for first, stop in _runs(lasting[:, c])
        if shown[first:stop, c].any()
    ]
    lines = [[run for run in runs if run.of == c] for c in range(len(classes))]
    lines = lines if several else [sorted(runs, key=lambda run: run.first)]
    kept = [_lasting(line, found.edges, rule) for line in lines]
    return [
        Segment(
            start=float(found.edges[run.first]),
            end=float(found.edges[run.stop]),
            label=classes[run.of],
            score=float(np.nanmean(found.scores[run.first : run.stop, run.of])),
            head=head,
        )
        for run in sorted(chain(*kept), key=lambda run: (run.first, run.of))
    ]


@dataclass(frozen=True)
class _Run:
    """Moments [first, stop) of class `of`."""

    first: int
    stop: int
    of: int


def _shown(
    scores: Floats, classes: Sequence[str], rule: SegmentRule, *, several: bool
) -> tuple[Bools, Bools]:
    """Whether a moment shows a class, and whether it would go on with it, each [m k]."""
    high, low = rule.bounds(classes, several=several)
    may = np.ones(scores.shape, bool)
    if not several:
        may = np.equal(scores.argmax(axis=1)[:, None], np.arange(scores.shape[1]))
    may &= np.array([name != rule.background for name in classes])
    return may & (scores >= high), may & (scores >= low)  # NaN is neither


def _runs(shown: Bools) -> list[tuple[int, int]]:
    """The runs [first, stop) of moments [m] that are True."""
    ends = np.flatnonzero(np.diff(shown.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(stop)) for first, stop in ends.reshape(-1, 2)]


def _lasting(line: list[_Run], edges: Floats, rule: SegmentRule) -> list[_Run]:
    """The runs without gaps and flicker.

    Gaps first, so that a segment in pieces is not taken for flicker; gaps again, as flicker may
    have been what stood between two pieces.
    """
    merged = _merged(line, edges, rule.merge)
    enough = rule.min_duration - NEAR
    kept = [run for run in merged if edges[run.stop] - edges[run.first] >= enough]
    return _merged(kept, edges, rule.merge)


def _merged(line: list[_Run], edges: Floats, gap: float) -> list[_Run]:
    """Neighbours of one class as one, where no more than `gap` seconds lie between them."""
    merged: list[_Run] = []
    for run in line:
        last = merged[-1] if merged else None
        if last and last.of == run.of and edges[run.first] - edges[last.stop] <= gap + NEAR:
            merged[-1] = replace(last, stop=run.stop)
        else:
            merged.append(run)
    return merged


def _sums_around(values: Floats, half: int) -> Floats:
    """The sums over up to `half` values before and after each of [m]."""
    m = len(values)
    sums, at = np.append(0.0, values.cumsum()), np.arange(m)
    return np.asarray(sums[np.minimum(at + half + 1, m)] - sums[np.maximum(at - half, 0)])


def _checked(windows: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Floats, Floats]:
    times = np.asarray(windows, dtype=np.float64).reshape(-1, 2)
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != len(times):
        raise ValueError(
            f"probabilities are {list(scores.shape)}, expected [{len(times)} k]: a row a window"
        )
    if not (times[:, 0] < times[:, 1]).all():
        row = int(np.argmin(times[:, 0] < times[:, 1]))
        raise ValueError(f"window {row} is from {times[row, 0]:g} to {times[row, 1]:g} s")
    if not ((scores >= -NEAR) & (scores <= 1 + NEAR)).all():
        raise ValueError(
            f"probabilities are {scores.min():g} to {scores.max():g}, expected 0 to 1. "
            "hint: logits go through softmax or sigmoid first"
        )
    return times, scores
