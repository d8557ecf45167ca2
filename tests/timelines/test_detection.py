"""mAP of segments is what ActivityNet's evaluation gives, line by line, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.timelines.bootstrap import RESAMPLES, drawn_videos
from marey.timelines.detection import TIOU, detection_estimates, match_segments, tiou
from marey.timelines.spans import Spans

K = 3


@st.composite
def videos(draw: st.DrawFn) -> tuple[list[Spans], list[Spans]]:
    """What is marked and found in one to four videos; scores all differ."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    number = draw(st.integers(1, 4))
    ranks = iter(rng.permutation(1000) / 1000)

    def spans(most: int, *, scored: bool) -> Spans:
        rows = []
        for _ in range(rng.integers(0, most + 1)):
            start = int(rng.integers(0, 12))
            score = float(next(ranks)) if scored else 1.0
            rows.append((start, start + int(rng.integers(1, 8)), int(rng.integers(0, K)), score))
        return Spans.of(rows)

    return [spans(4, scored=False) for _ in range(number)], [
        spans(7, scored=True) for _ in range(number)
    ]


def slow_precision(marked: list[Spans], found: list[Spans], c: int, bound: float) -> float:
    """AP of one class at one bound, in the steps of ActivityNet's compute_average_precision."""
    truth: list[tuple[int, float, float]] = [
        (v, s, e)
        for v, of in enumerate(marked)
        for s, e, k in zip(of.starts, of.ends, of.classes, strict=True)
        if k == c
    ]
    taken: set[int] = set()
    if not truth:
        return float("nan")
    found_rows = [
        (score, v, (s, e))
        for v, of in enumerate(found)
        for s, e, k, score in zip(of.starts, of.ends, of.classes, of.scores, strict=True)
        if k == c
    ]
    tp, fp = [], []
    for _, v, (s, e) in sorted(found_rows, key=lambda row: -row[0]):
        pairs = []
        for number, (video, a, b) in enumerate(truth):
            if video == v:
                both = max(0.0, min(e, b) - max(s, a))
                pairs.append((both / ((e - s) + (b - a) - both), number))
        right = False
        for overlap, number in sorted(pairs, key=lambda pair: -pair[0]):
            if overlap < bound:
                break
            if number not in taken:
                taken.add(number)
                right = True
                break
        tp.append(right)
        fp.append(not right)
    recall = np.cumsum(tp) / len(truth)
    precision = np.cumsum(tp) / np.maximum(np.cumsum(tp) + np.cumsum(fp), 1)
    mprec = np.hstack([[0], precision, [0]])
    mrec = np.hstack([[0], recall, [1]])
    for i in range(len(mprec) - 1)[::-1]:
        mprec[i] = max(mprec[i], mprec[i + 1])
    at = np.where(mrec[1::] != mrec[0:-1])[0] + 1
    return float(np.sum((mrec[at] - mrec[at - 1]) * mprec[at]))


@settings(max_examples=40)
@given(videos())
def test_every_class_has_the_precision_of_the_plain_steps(
    of: tuple[list[Spans], list[Spans]],
) -> None:
    marked, found = of
    precision = match_segments(marked, found, K).precision()
    for b, bound in enumerate(TIOU):
        slow = [slow_precision(marked, found, c, bound) for c in range(K)]
        np.testing.assert_allclose(precision[b], slow, err_msg=f"tIoU {bound}")


@settings(max_examples=40)
@given(videos(), st.integers(0, 100))
def test_a_set_of_videos_has_the_precision_of_so_many_copies(
    of: tuple[list[Spans], list[Spans]], seed: int
) -> None:
    marked, found = of
    drawn = drawn_videos(len(marked), resamples=3, seed=seed)
    precision = match_segments(marked, found, K).precision(drawn)
    for r, counts in enumerate(drawn.astype(int)):
        rows = np.repeat(np.arange(len(marked)), counts)
        copies = match_segments([marked[i] for i in rows], [found[i] for i in rows], K)
        np.testing.assert_allclose(precision[..., r], copies.precision())


@given(videos())
def test_a_harder_bound_is_reached_no_more_often(of: tuple[list[Spans], list[Spans]]) -> None:
    precision = match_segments(*of, K).precision()
    assert (np.nan_to_num(np.diff(precision, axis=0)) <= 1e-12).all()


@given(videos())
def test_what_is_marked_found_again_is_all_right(of: tuple[list[Spans], list[Spans]]) -> None:
    marked, _ = of
    precision = match_segments(marked, marked, K).precision()
    shown = [any((each.classes == c).any() for each in marked) for c in range(K)]
    assert (precision[:, shown] == 1).all()
    assert np.isnan(precision[:, np.logical_not(shown)]).all()


def test_the_second_segment_on_a_span_is_wrong() -> None:
    marked = [Spans.of([(0, 10, 0)])]
    once = [Spans.of([(0, 10, 0, 0.9), (0, 9, 0, 0.8)])]
    assert match_segments(marked, once, 1, [0.5]).right.tolist() == [[True, False]]
    assert match_segments(marked, once, 1, [0.5]).precision().item() == 1.0
    late = [Spans.of([(20, 30, 0, 0.9), (0, 10, 0, 0.8)])]
    assert match_segments(marked, late, 1, [0.5]).precision().item() == 0.5


def test_precision_is_interpolated() -> None:
    """Right, wrong, right of two spans: 1/2 * 1 + 1/2 * 2/3; wrong first: 2/3 throughout."""
    marked = [Spans.of([(0, 2, 0), (4, 6, 0)])]
    found = [Spans.of([(0, 2, 0, 0.9), (8, 9, 0, 0.8), (4, 6, 0, 0.7)])]
    assert match_segments(marked, found, 1, [0.5]).precision().item() == pytest.approx(5 / 6)
    found = [Spans.of([(8, 9, 0, 0.9), (0, 2, 0, 0.8), (4, 6, 0, 0.7)])]
    assert match_segments(marked, found, 1, [0.5]).precision().item() == pytest.approx(2 / 3)


def test_a_segment_of_another_class_or_video_is_wrong() -> None:
    marked = [Spans.of([(0, 2, 0)]), Spans.of([])]
    assert not match_segments(marked, [Spans.of([(0, 2, 1)]), Spans.of([(0, 2, 0)])], 2).right.any()


def test_the_bound_itself_is_enough() -> None:
    marked, found = [Spans.of([(0, 2, 0)])], [Spans.of([(0, 1, 0)])]
    assert match_segments(marked, found, 1, [0.5]).right.tolist() == [[True]]
    assert tiou(marked[0], found[0]).item() == 0.5


def test_numbers_come_in_percent_with_intervals_over_videos() -> None:
    marked = [Spans.of([(0, 2, 0), (4, 6, 1)])] * 4
    found = [marked[0], marked[0], Spans.of([(0, 1, 0)]), Spans.of([])]
    estimates = detection_estimates(match_segments(marked, found, K))
    assert list(estimates) == [*(f"map@{bound:g}" for bound in TIOU), "map"]
    strict, easy = estimates["map@0.7"], estimates["map@0.1"]
    assert (easy.value, strict.value) == (62.5, 50)
    assert easy.low < easy.value < easy.high <= 100
    assert (easy.num_classes, easy.num_clips) == (2, 4)
    mean = np.mean([estimates[f"map@{bound:g}"].value for bound in TIOU])
    assert estimates["map"].value == pytest.approx(mean)
    assert detection_estimates(match_segments(marked, found, K)) == estimates  # seeded
    assert len(drawn_videos(4)) == RESAMPLES


def test_of_one_video_there_is_no_interval_and_of_nothing_no_number() -> None:
    one = detection_estimates(match_segments([Spans.of([(0, 2, 0)])], [Spans.of([])], 1))["map"]
    assert one.value == 0
    assert np.isnan([one.low, one.high]).all()
    for empty in ([], [Spans.of([])]):
        nothing = detection_estimates(match_segments(empty, empty, 1))["map"]
        assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="marked are 1 videos, found 0, expected as many"):
        match_segments([Spans.of([])], [], 1)
    with pytest.raises(ValueError, match=r"bounds are \(0.0,\), expected each above 0 and up to 1"):
        match_segments([], [], 1, [0.0])
