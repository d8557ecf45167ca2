"""Accuracy and mAP over moments: by hand, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.timelines.accuracy import (
    Watched,
    accuracy_estimates,
    moment_precision,
    precision_estimate,
)
from marey.timelines.bootstrap import drawn_videos
from marey.timelines.spans import Spans

MIDDLES = np.arange(10.0) + 0.5


def watched(marked: Spans, found: Spans) -> Watched:
    return Watched.of(MIDDLES, np.zeros((10, 2)), marked, found)


def test_background_is_right_where_nothing_is_found() -> None:
    video = watched(Spans.of([(0, 4, 0), (6, 8, 1)]), Spans.of([(0, 3, 0), (3, 5, 1)]))
    found = accuracy_estimates([video])
    # right: 0 1 2 of class 0, and 5 8 9 of the background
    assert found["accuracy"].value == 60
    assert found["accuracy/marked"].value == 50
    assert (found["accuracy"].num_classes, found["accuracy"].num_clips) == (2, 1)


def test_any_of_the_classes_that_are_marked_at_once_is_right() -> None:
    marked = Spans.of([(0, 10, 0), (5, 10, 1)])
    one, both = (accuracy_estimates([watched(marked, Spans.of([(0, 10, c)]))]) for c in (1, 0))
    assert (one["accuracy"].value, both["accuracy"].value) == (50, 100)


SPANS = st.lists(
    st.tuples(st.integers(-2, 10), st.integers(0, 6), st.integers(0, 1)).map(
        lambda of: (of[0] / 2, (of[0] + of[1]) / 2, of[2])
    ),
    max_size=4,
)


@given(st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=3))
def test_accuracy_is_a_count_of_moments_one_by_one(
    of: list[tuple[list[tuple[float, float, int]], list[tuple[float, float, int]]]],
) -> None:
    """Spans may touch, overlap, be there twice, last no time or lie outside."""
    right = total = right_marked = total_marked = 0
    for marked, found in of:
        for middle in MIDDLES:
            here, said = ({c for s, e, c in of if s <= middle < e} for of in (marked, found))
            is_right = bool(here & said) if here else not said
            right, total = right + is_right, total + 1
            right_marked += is_right and bool(here)
            total_marked += bool(here)
    found_there = accuracy_estimates([watched(Spans.of(m), Spans.of(f)) for m, f in of])
    assert found_there["accuracy"].value == pytest.approx(100 * right / total)
    of_marked = found_there["accuracy/marked"].value
    if total_marked:
        assert of_marked == pytest.approx(100 * right_marked / total_marked)
    else:
        assert np.isnan(of_marked)


def test_an_empty_timeline_is_right_about_the_background_alone() -> None:
    found = accuracy_estimates([watched(Spans.of([(0, 2, 0)]), Spans.of([]))] * 3)
    assert found["accuracy"].value == 80
    assert found["accuracy/marked"].value == 0
    assert found["accuracy"].low == found["accuracy"].high == 80  # the videos are alike


def test_longer_videos_count_for_more() -> None:
    long = watched(Spans.of([(0, 10, 0)]), Spans.of([(0, 10, 0)]))
    short = Watched(long.marked[:5], np.zeros((5, 2), bool), long.scores[:5])
    found = accuracy_estimates([long, short])
    assert found["accuracy"].value == pytest.approx(100 * 10 / 15)
    assert found["accuracy"].low == 0
    assert found["accuracy"].high == 100


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3))
def test_precision_of_moments_is_that_of_scikit_learn(seed: int, v: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    videos = [
        Watched(rng.random((n, k)) < 0.4, np.zeros((n, k), bool), rng.random((n, k)).round(1))
        for n in rng.integers(1, 12, v)
    ]
    drawn = np.concatenate([np.ones((1, v)), drawn_videos(v, resamples=2, seed=seed % 100)])
    found = moment_precision(videos, drawn)
    for r, counts in enumerate(drawn.astype(int)):
        rows = np.repeat(np.arange(v), counts)
        marked = np.concatenate([videos[i].marked for i in rows])
        scores = np.concatenate([videos[i].scores for i in rows])
        for c in range(k):
            if marked[:, c].any():
                expected = sk.average_precision_score(marked[:, c], scores[:, c])
                assert found[c, r] == pytest.approx(expected)
            else:
                assert np.isnan(found[c, r])


def test_moments_that_no_window_saw_come_last() -> None:
    scores = np.array([[np.nan], [0.1], [0.2]])
    video = Watched(np.array([[True], [False], [True]]), np.zeros((3, 1), bool), scores)
    found = precision_estimate([video, video])
    assert found.value == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert (found.num_classes, found.num_clips) == (1, 2)


def test_without_a_video_there_is_no_number() -> None:
    assert np.isnan(accuracy_estimates([])["accuracy"].value)
    assert np.isnan(precision_estimate([]).value)


def test_spans_show_their_class_up_to_their_end() -> None:
    shown = Spans.of([(1, 2.5, 1)]).shown_at(np.array([0.5, 1.0, 2.4, 2.5]), 2)
    assert shown.tolist() == [[False, False], [False, True], [False, True], [False, False]]
