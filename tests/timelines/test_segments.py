"""Segments of a timeline: laws of any scores, and each word of the rule by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.timelines.segments import Segment, SegmentRule, find_segments, moments

NAMES = ("run", "sit", "rest")


@st.composite
def timelines(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, bool]:
    """Windows of one video as `predict` cuts them, probabilities, and whether of several labels."""
    window, share, n = draw(st.floats(0.3, 4)), draw(st.floats(0.2, 1.5)), draw(st.integers(1, 9))
    starts = window * share * np.arange(n)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    several = draw(st.booleans())
    scores = rng.random((n, 3)) if several else rng.dirichlet(np.full(3, 0.4), n)
    return np.stack([starts, starts + window], axis=1), scores, several


def rules() -> st.SearchStrategy[SegmentRule]:
    seconds = st.sampled_from([0.0, 0.3, 1.0, 5.0])
    bounds = st.sampled_from([(None, None), (0.4, None), (0.6, None), (0.4, 0.2), (0.6, 0.2)])
    return st.builds(
        lambda bounds, **words: SegmentRule(threshold=bounds[0], hold=bounds[1], **words),
        bounds,
        step=st.sampled_from([0.05, 0.1, 0.5]),
        smooth=seconds,
        background=st.sampled_from(["", "rest"]),
        merge=seconds,
        min_duration=seconds,
    )


def by_label(found: list[Segment]) -> dict[str, list[Segment]]:
    return {name: [each for each in found if each.label == name] for name in NAMES}


@given(timelines(), rules())
def test_segments_lie_in_the_video_in_order_and_have_probabilities(
    timeline: tuple[np.ndarray, np.ndarray, bool], rule: SegmentRule
) -> None:
    windows, scores, several = timeline
    found = find_segments(windows, scores, NAMES, rule, several=several)
    starts = [each.start for each in found]
    assert starts == sorted(starts)
    for each in found:
        assert windows.min() <= each.start < each.end <= windows.max()
        assert 0 <= each.score <= 1
        assert each.end - each.start >= rule.min_duration - 1e-5
        assert each.label != rule.background
    lines = by_label(found).values() if several else [found]
    for line in lines:
        assert all(a.end <= b.start for a, b in pairwise(line))
    for line in by_label(found).values():
        gaps = [b.start - a.end for a, b in pairwise(line)]
        between = [
            [c for c in found if a.end <= c.start < b.start and c.label != a.label]
            for a, b in pairwise(line)
        ]
        for gap, others in zip(gaps, between, strict=True):
            assert gap > rule.merge or (others and not several)


@given(timelines(), rules(), st.integers(-500, 500))
def test_a_later_video_gives_later_segments(
    timeline: tuple[np.ndarray, np.ndarray, bool], rule: SegmentRule, seconds: int
) -> None:
    windows, scores, _ = timeline
    now = moments(windows, scores, step=rule.step).smoothed(rule.smooth)
    later = moments(windows + seconds, scores, step=rule.step).smoothed(rule.smooth)
    np.testing.assert_allclose(later.edges, now.edges + seconds, atol=1e-9)
    np.testing.assert_allclose(later.scores, now.scores, atol=1e-6)


@given(st.integers(1, 8), st.floats(0.2, 1.0), rules(), st.booleans())
def test_scores_that_never_change_are_one_segment(
    n: int, share: float, rule: SegmentRule, several: bool
) -> None:
    starts = 2 * share * np.arange(n)
    windows = np.stack([starts, starts + 2], axis=1)
    rule = replace(rule, min_duration=0.0)
    found = find_segments(windows, [[0.7, 0.2, 0.1]] * n, NAMES, rule, several=several)
    (segment,) = found
    assert (segment.start, segment.label) == (0.0, "run")
    assert segment.end == pytest.approx(float(windows.max()))
    assert segment.score == pytest.approx(0.7)


@given(timelines())
def test_by_default_every_moment_that_a_window_covers_is_in_one_segment(
    timeline: tuple[np.ndarray, np.ndarray, bool],
) -> None:
    windows, scores, _ = timeline
    found = find_segments(windows, scores, NAMES, SegmentRule(step=0.05))
    covered = np.zeros(100_000, bool)
    for start, end in windows:
        covered[round(1000 * start) : round(1000 * end)] = True
    seconds = sum(each.end - each.start for each in found)
    assert seconds == pytest.approx(covered.sum() / 1000, abs=0.05 * 2 * len(windows))


@given(timelines())
def test_a_stricter_threshold_never_shows_more(
    timeline: tuple[np.ndarray, np.ndarray, bool],
) -> None:
    windows, scores, several = timeline
    seconds = [
        sum(
            each.end - each.start
            for each in find_segments(
                windows, scores, NAMES, SegmentRule(threshold=threshold), several=several
            )
        )
        for threshold in (0.2, 0.5, 0.8)
    ]
    assert seconds == sorted(seconds, reverse=True)


@given(timelines())
def test_a_mean_of_probabilities_stays_one(
    timeline: tuple[np.ndarray, np.ndarray, bool],
) -> None:
    windows, scores, several = timeline
    found = moments(windows, scores)
    for each in (found, found.smoothed(1.0)):
        known = ~np.isnan(each.scores).any(axis=1)
        assert (known == ~np.isnan(found.scores).any(axis=1)).all()
        assert (each.scores[known] <= scores.max(axis=0) + 1e-9).all()
        assert (each.scores[known] >= scores.min(axis=0) - 1e-9).all()
        if not several:
            np.testing.assert_allclose(each.scores[known].sum(axis=1), 1)


def test_a_moment_is_on_the_line_between_two_windows() -> None:
    """With a window every half of its length; before the first middle it is the first window's."""
    found = moments([[0, 2], [1, 3]], [[0.0], [1.0]], step=0.5)
    assert found.edges.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    np.testing.assert_allclose(found.scores[:, 0], [0, 0, 0.25, 0.75, 1, 1])


def test_where_no_window_is_nothing_is_said() -> None:
    found = moments([[0, 1], [2, 3]], [[1.0], [1.0]], step=0.5)
    assert np.isnan(found.scores[:, 0]).tolist() == [False, False, True, True, False, False]
    windows, scores = [[0, 1], [2, 3]], [[1.0], [1.0]]
    assert spans(find_segments(windows, scores, ["run"])) == [("run", 0, 1), ("run", 2, 3)]
    merged = find_segments(windows, scores, ["run"], SegmentRule(merge=1.0))
    assert spans(merged) == [("run", 0, 3)]
    assert merged[0].score == 1.0


def test_smoothing_takes_half_from_before_and_half_from_after() -> None:
    windows = np.stack([np.arange(5.0), np.arange(5.0) + 1], axis=1)
    line = moments(windows, [[0.0], [0.0], [0.9], [0.0], [0.0]], step=0.5).smoothed(1.0)
    np.testing.assert_allclose(
        line.scores[:, 0], [0, 0, 0, 0.3, 0.6, 0.6, 0.3, 0, 0, 0], atol=1e-12
    )


def seconds_of(*scores: float) -> tuple[np.ndarray, np.ndarray]:
    """Windows of a second that do not overlap, and the probability of run in each."""
    starts = np.arange(len(scores), dtype=float)
    of = np.array(scores)
    return np.stack([starts, starts + 1], axis=1), np.stack([of, 1 - of], axis=1)


def spans(found: list[Segment]) -> list[tuple[str, float, float]]:
    return [(each.label, round(each.start, 3), round(each.end, 3)) for each in found]


def test_by_default_each_moment_shows_its_likeliest_class() -> None:
    windows, scores = seconds_of(0.9, 0.8, 0.4, 0.3, 0.6)
    assert spans(find_segments(windows, scores, ("run", "sit"))) == [
        ("run", 0, 2), ("sit", 2, 4), ("run", 4, 5)
    ]  # fmt: skip


def test_background_and_what_is_below_the_threshold_are_gaps() -> None:
    windows, scores = seconds_of(0.9, 0.6, 0.4, 0.1)
    rule = SegmentRule(threshold=0.7)
    assert spans(find_segments(windows, scores, ("run", "sit"), rule)) == [
        ("run", 0, 1), ("sit", 3, 4)
    ]  # fmt: skip
    rule = SegmentRule(background="sit")
    assert spans(find_segments(windows, scores, ("run", "sit"), rule)) == [("run", 0, 2)]


def test_a_segment_is_held_to_both_sides_by_the_lower_bound() -> None:
    windows, scores = seconds_of(0.6, 0.9, 0.6, 0.3, 0.6)
    names = ("run", "rest")
    rule = SegmentRule(threshold=0.8, hold=0.55, background="rest")
    assert spans(find_segments(windows, scores, names, rule)) == [("run", 0, 3)]
    rule = replace(rule, hold=None)
    assert spans(find_segments(windows, scores, names, rule)) == [("run", 1, 2)]


def test_classes_may_have_thresholds_of_their_own_and_overlap() -> None:
    windows = [[0, 1], [1, 2], [2, 3]]
    scores = [[0.6, 0.3], [0.6, 0.3], [0.1, 0.3]]
    assert spans(find_segments(windows, scores, ("sit", "fall"), several=True)) == [("sit", 0, 2)]
    rule = SegmentRule(thresholds=(("fall", 0.25),))
    assert spans(find_segments(windows, scores, ("sit", "fall"), rule, several=True)) == [
        ("sit", 0, 2), ("fall", 0, 3)
    ]  # fmt: skip


def test_pieces_are_joined_before_flicker_is_left_out_and_again_after() -> None:
    windows, scores = seconds_of(0.9, 0.5, 0.9, 0.1, 0.9, 0.9)
    names = ("run", "sit")
    rule = SegmentRule(threshold=0.6, min_duration=1.5)
    assert spans(find_segments(windows, scores, names, rule)) == [("run", 4, 6)]
    rule = replace(rule, merge=1.0)
    assert spans(find_segments(windows, scores, names, rule)) == [("run", 0, 6)]
    rule = replace(rule, min_duration=0.0)
    assert spans(find_segments(windows, scores, names, rule)) == [
        ("run", 0, 3), ("sit", 3, 4), ("run", 4, 6)
    ]  # fmt: skip


def test_what_a_segment_says_in_json() -> None:
    segment = Segment(start=0.12345, end=2.0, label="run", score=0.12345678)
    assert segment.to_json() == {"start": 0.123, "end": 2.0, "label": "run", "score": 0.123457}
    assert list(replace(segment, head="verb").to_json())[2] == "head"


def test_nothing_gives_nothing() -> None:
    assert find_segments(np.zeros((0, 2)), np.zeros((0, 2)), ("run", "sit")) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"step": 0}, "step is 0, expected more than 0"),
        ({"smooth": -1}, "smooth is -1, expected at least 0"),
        ({"threshold": 1.2}, "threshold is 1.2, expected 0 to 1"),
        ({"thresholds": (("run", 2.0),)}, "the threshold of 'run' is 2.0, expected 0 to 1"),
        ({"hold": 0.5}, "hold is 0.5, without a threshold"),
        ({"threshold": 0.3, "hold": 0.5}, "hold is 0.5, above the threshold 0.3"),
    ],
)
def test_numbers_out_of_bounds_are_refused(words: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SegmentRule(**words)  # type: ignore[arg-type]


def test_a_class_that_is_none_of_the_models_is_named() -> None:
    with pytest.raises(ValueError, match=r"the background is 'rset', which is none .*'rest'"):
        SegmentRule(background="rset").check_classes({"label": NAMES})
    with pytest.raises(ValueError, match=r"a threshold is of 'runn'.*'run'"):
        SegmentRule(thresholds=(("runn", 0.5),)).check_classes({"label": NAMES})
    SegmentRule(background="rest", thresholds=(("run", 0.5),)).check_classes({"label": NAMES})


@pytest.mark.parametrize(
    ("windows", "scores", "message"),
    [
        ([[0, 1]], [[0.5], [0.5]], r"probabilities are \[2, 1\], expected \[1 k\]"),
        ([[0, 1], [2, 2]], [[0.5], [0.5]], "window 1 is from 2 to 2 s"),
        ([[0, 1]], [[3.2, -1.0]], "probabilities are -1 to 3.2, expected 0 to 1.*softmax"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    windows: list[list[float]], scores: list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_segments(windows, scores, ("run", "sit"))
