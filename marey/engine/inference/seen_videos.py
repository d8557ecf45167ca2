"""One video that people marked, as a model sees it: what is marked, and what was found, by head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from marey.engine.inference.annotated import AnnotatedVideo
from marey.engine.inference.predict import Predictor
from marey.engine.inference.windows import WindowScores, stride_of
from marey.errors import DecodeError
from marey.timelines.accuracy import Watched
from marey.timelines.segments import Segment, SegmentRule, segments_of
from marey.timelines.spans import Spans


@dataclass(frozen=True, kw_only=True)
class TimelineOptions:
    """How videos are cut, and what is made of the windows.

    Args:
        window_seconds: the length of a window.
        stride_seconds: how often one begins; None is every half window.
        rule: when moments are a segment; rows of its background mark nothing.
    """

    window_seconds: float
    stride_seconds: float | None = None
    rule: SegmentRule = field(default_factory=SegmentRule)

    def __post_init__(self) -> None:
        stride_of(self.window_seconds, self.stride_seconds)

    @property
    def stride(self) -> float:
        """How often a window begins, in seconds."""
        return stride_of(self.window_seconds, self.stride_seconds)


@dataclass(frozen=True, eq=False, kw_only=True)
class SeenVideo:
    """What is marked and what was found in one video, of each head.

    Args:
        path: where it lies.
        marked: what people marked.
        found: segments; empty if it could not be read.
        moments: both at each moment, with the probabilities.
        seconds: how long it is.
        bad: in words, rows that mark nothing in it.
        error: why it could not be read, or not be cut into such windows.
    """

    path: str
    marked: dict[str, Spans]
    found: dict[str, list[Segment]] = field(default_factory=dict)
    moments: dict[str, Watched] = field(default_factory=dict)
    seconds: float | None = None
    bad: Sequence[str] = ()
    error: str = ""

    def spans(self, head: str, names: Sequence[str]) -> Spans:
        """What was found of a head."""
        return _spans(self.found.get(head, ()), names)


def look(predictor: Predictor, video: AnnotatedVideo, how: TimelineOptions) -> SeenVideo:
    """The video and its timeline; what is marked, and why, of one that cannot be read or cut so."""
    rule = how.rule
    try:
        watched = predictor.watch(
            video.path,
            window_seconds=how.window_seconds,
            stride_seconds=how.stride_seconds,
            num_frames=video.num_frames,
        )
    except DecodeError as error:
        marked = video.marked_blindly(background=rule.background)
        return SeenVideo(path=str(video.path), marked=marked, error=str(error))
    marked, bad = video.marked(watched.times, watched.seconds, background=rule.background)
    found, moments = {}, {}
    for head, names in watched.classes.items():
        found[head], moments[head] = _of_head(watched, head, names, marked[head], rule)
    return SeenVideo(
        path=str(video.path),
        marked=marked,
        found=found,
        moments=moments,
        seconds=watched.seconds,
        bad=bad,
    )


def _of_head(
    watched: WindowScores, head: str, names: Sequence[str], marked: Spans, rule: SegmentRule
) -> tuple[list[Segment], Watched]:
    of = watched.moments(head, rule)
    found = segments_of(of, names, rule, several=head in watched.several)
    return found, Watched.of(of.middles, of.scores, marked, _spans(found, names))


def _spans(found: Iterable[Segment], names: Sequence[str]) -> Spans:
    return Spans.of((of.start, of.end, names.index(of.label), of.score) for of in found)
