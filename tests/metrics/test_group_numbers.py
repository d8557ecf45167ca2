from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from marey.engine.inference.measures import head_estimates, head_metrics
from marey.metrics.average_precision import (
    average_precision,
    hit_at,
    mean_average_precision,
    precision_influence,
)
from marey.metrics.groups import (
    Groups,
    paper_groups,
    profile,
    release_groups,
    release_noun_groups,
    release_rule,
    videolt_groups,
)
from marey.metrics.longtail import ALL, class_gains

COUNTS = arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 200)).filter(np.any)


def members(groups: Groups) -> list[list[int]]:
    return [classes.tolist() for _, classes in groups]


# --- groups -------------------------------------------------------------------------------------


@given(COUNTS, st.integers(0, 50))
def test_every_class_is_in_one_group_of_the_paper(counts: np.ndarray, few: int) -> None:
    found = members(paper_groups(counts, few))
    assert sorted(found[0] + found[1] + found[2]) == list(range(len(counts)))
    assert all(counts[i] <= few for i in found[2])
    assert all(counts[i] > few for i in found[0] + found[1])
    assert [counts[i] for i in found[0] + found[1]] == sorted(counts[counts > few], reverse=True)


@given(COUNTS)
def test_no_other_cut_is_closer_to_half_of_the_data(counts: np.ndarray) -> None:
    head = paper_groups(counts, few=-1).head
    ordered = np.sort(counts)[::-1]
    away = np.abs(ordered.cumsum() / counts.sum() - 0.5)
    assert away[len(head) - 1] == pytest.approx(away.min())


def test_of_two_cuts_equally_close_the_shorter_head_is_taken() -> None:
    assert members(paper_groups(np.array([20, 10, 20]), few=5)) == [[0], [2, 1], []]


def test_equal_counts_are_ordered_by_class_number() -> None:
    assert members(paper_groups(np.full(4, 50))) == [[0, 1], [2, 3], []]


def test_a_class_with_few_clips_is_few_shot_though_it_be_the_largest() -> None:
    assert members(paper_groups(np.array([20, 6, 3]))) == [[], [], [0, 1, 2]]


def test_the_release_leaves_the_last_class_out() -> None:
    assert members(release_rule(np.array([90, 60, 21, 20, 3, 3]), 0.5)) == [[0], [1, 2], [3, 4]]


def test_ssv2_lt_is_known_by_its_counts_though_some_clips_be_missing() -> None:
    counts = np.round(2500 * np.linspace(1, 2.46, 174) ** -7).astype(np.int64)
    shuffled = np.random.default_rng(0).permutation(counts)
    shuffled[shuffled.argmax()] -= 20
    shuffled[shuffled.argmin()] -= 1
    groups = release_groups(shuffled)
    assert groups.rule == (
        "release: SSv2-LT, head holds at most 50% of the data, few <= 20 but the last"
    )
    assert [len(classes) for _, classes in groups] == [14, 103, 56]
    for others in (counts[:173], counts + 100, np.full(174, 290)):
        assert release_groups(others).rule.startswith("release: head holds at most 90%")


def test_other_sets_of_300_classes_have_the_rule_and_not_the_lists_of_nouns() -> None:
    assert release_groups(np.arange(1, 301)).rule.startswith("release: head holds at most 90%")


def test_only_epics_nouns_have_the_published_lists_of_nouns() -> None:
    with pytest.raises(ValueError, match="there are 97 classes, expected EPIC-KITCHENS-100's 300"):
        release_noun_groups(np.ones(97, np.int64))


def test_videolts_borders_belong_to_the_rarer_group() -> None:
    groups = videolt_groups(np.array([501, 500, 101, 100, 1]))
    assert [name for name, _ in groups] == ["head", "medium", "tail"]
    assert members(groups) == [[0], [1, 2], [3, 4]]


def test_the_profile_does_not_divide_by_an_empty_class() -> None:
    found = profile(np.array([100, 50, 2, 0]))
    assert (found.head_percent, found.few_percent, found.imbalance) == (25, 50, 50)


def test_counts_without_a_clip_have_no_groups() -> None:
    with pytest.raises(ValueError, match=r"counts are \[0, 0\], expected a number of clips"):
        paper_groups(np.zeros(2, np.int64))


# --- accuracy of groups -------------------------------------------------------------------------

LABELS = np.array([0, 0, 0, 0, 1, 1, 3])
SCORES = np.eye(4)[[0, 0, 0, 1, 1, 0, 3]]
GROUPS = Groups(np.array([0]), np.array([1, 2]), np.array([3]), "given")


def test_each_group_is_the_mean_of_its_classes_that_are_tested() -> None:
    found = head_metrics(SCORES, LABELS, GROUPS)
    groups = {"acc/head": 75, "acc/tail": 50, "acc/few": 100}
    assert found == {"acc/top1": pytest.approx(500 / 7), "acc/class_avg": 75} | groups


def test_an_estimate_says_how_many_classes_and_clips_it_rests_on() -> None:
    found = head_estimates(SCORES, LABELS, GROUPS)
    assert {k: (e.num_classes, e.num_clips) for k, e in found.items()} == {
        "acc/top1": (3, 7),
        "acc/class_avg": (3, 7),
        "acc/head": (1, 4),
        "acc/tail": (1, 2),
        "acc/few": (1, 1),
    }
    assert found["acc/class_avg"].value == 75
    assert found["acc/top1"].value == pytest.approx(500 / 7)


def test_a_group_that_is_not_tested_is_nan_and_rests_on_nothing() -> None:
    found = head_estimates(SCORES[:4], LABELS[:4], GROUPS)["acc/few"]
    assert np.isnan([found.value, *found.interval]).all()
    assert (found.num_classes, found.num_clips) == (0, 0)


@given(st.integers(1, 60), st.integers(2, 8), st.integers(0, 2**32))
def test_values_and_intervals_stay_between_0_and_100(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((n, k)), rng.integers(0, k, n)
    groups = paper_groups(1 + np.arange(k) * 9)
    for found in head_estimates(scores, labels, groups).values():
        if found.num_clips:
            assert 0 <= found.interval.low <= found.value <= found.interval.high <= 100
            assert found.interval.low < found.interval.high


def test_a_model_that_is_right_where_the_other_is_gains_nothing_for_all_that_is_known() -> None:
    same = class_gains(np.zeros(7), LABELS, 4, GROUPS)
    assert {e.value for e in same.values()} == {0}
    assert all(e.low == pytest.approx(-e.high) and e.high > 0 for e in same.values())


# --- average precision --------------------------------------------------------------------------


def precision_by_hand(scores: np.ndarray, targets: np.ndarray) -> float:
    """The mean over the positives of the share of positives among clips of no lower a score."""
    at = [targets[scores >= score].mean() for score in scores[targets]]
    return float(np.mean(at)) if at else float("nan")


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 2**32))
def test_average_precision_is_the_mean_of_the_precisions_at_the_positives(
    n: int, k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores, targets = rng.integers(0, 6, (n, k)) / 5, rng.random((n, k)) > 0.6
    wanted = [precision_by_hand(scores[:, i], targets[:, i]) for i in range(k)]
    np.testing.assert_allclose(average_precision(scores, targets), wanted)


def test_a_perfect_order_has_a_precision_of_100_and_the_doubt_of_its_few_clips() -> None:
    targets = np.eye(3)[[0, 1, 2, 0]]
    found = mean_average_precision(targets, targets, GROUPS_OF_THREE)
    assert {(e.value, e.high) for e in found.values()} == {(100, 100)}
    assert all(e.low < 80 for e in found.values())
    assert (found[ALL].num_classes, found[ALL].num_clips) == (3, 4)


GROUPS_OF_THREE = Groups(np.array([0]), np.array([1]), np.array([2]), "", ("head", "medium", "low"))


def test_classes_without_a_positive_are_left_out() -> None:
    scores, targets = np.array([[0.2, 0.9, 0.1], [0.8, 0.1, 0.3]]), np.array([[0, 1, 0], [1, 0, 0]])
    found = mean_average_precision(scores, targets, GROUPS_OF_THREE)
    assert (found[ALL].value, found[ALL].num_classes) == (100, 2)
    assert np.isnan(found["low"].value)


def test_the_variance_of_average_precision_is_that_of_drawing_clips_again() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((400, 1)) > 0.8
    scores = (rng.normal(size=(400, 1)) + targets).round(1)  # with ties
    rows = [rng.integers(0, 400, 400) for _ in range(600)]
    wanted = np.std([average_precision(scores[r], targets[r])[0] for r in rows])
    influence = precision_influence(scores[:, 0], targets[:, 0])
    assert influence.sum() == pytest.approx(0, abs=1e-9)
    assert np.sqrt((influence**2).sum()) == pytest.approx(wanted, rel=0.1)
    found = mean_average_precision(scores, targets)[ALL]
    assert found.high - found.low == pytest.approx(2 * 1.96 * 100 * wanted, rel=0.1)


def test_a_clip_that_could_not_be_read_stands_last() -> None:
    scores = np.array([[np.nan, np.nan], [0.1, 0.0]])
    targets = np.array([[1, 0], [0, 1]])
    assert average_precision(scores, targets).tolist() == [0.5, 1.0]
    assert hit_at(scores, targets, 2) == 50


def test_scores_and_targets_must_be_of_one_shape() -> None:
    with pytest.raises(ValueError, match=r"scores are \(2, 3\), targets \(2,\), expected the same"):
        average_precision(np.zeros((2, 3)), np.zeros(2))
