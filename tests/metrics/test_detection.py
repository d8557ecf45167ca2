"""Precision, recall, F1, ROC and thresholds are scikit-learn's; rare events are not hidden."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from marey.metrics.calibration import fitted_temperature, is_at_bound, temperature_scaling
from marey.metrics.detection import curve, detections
from marey.metrics.label_errors import label_suspects


def drawn(seed: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    scores = rng.dirichlet(np.ones(k), n) + 0.5 * np.eye(k)[labels]
    return (scores / scores.sum(axis=1, keepdims=True)).round(1), labels  # with ties


@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(2, 4))
def test_each_class_has_the_numbers_of_scikit_learn(seed: int, n: int, k: int) -> None:
    scores, labels = drawn(seed, n, k)
    found = detections(scores, np.eye(k, dtype=bool)[labels])
    p, r, f, counts = sk.precision_recall_fscore_support(
        labels, scores.argmax(axis=1), labels=range(k), zero_division=np.nan
    )
    for c, of in enumerate(found):
        assert of.num_clips == counts[c]
        np.testing.assert_allclose([of.precision, of.recall], [100 * p[c], 100 * r[c]])
        if counts[c]:
            assert of.f1 == pytest.approx(100 * f[c])
        if 0 < counts[c] < n:
            assert of.auc == pytest.approx(100 * sk.roc_auc_score(labels == c, scores[:, c]))
            assert of.f1_interval.low <= of.f1 <= of.f1_interval.high
            assert of.auc_interval.low < of.auc_interval.high


def test_the_threshold_is_that_of_the_highest_f1() -> None:
    scores, labels = drawn(1, 60, 2)
    (_, event) = detections(scores, np.eye(2, dtype=bool)[labels])
    at = {t: 100 * sk.f1_score(labels == 1, scores[:, 1] >= t) for t in set(scores[:, 1])}
    assert event.f1_there == pytest.approx(max(at.values()))
    assert event.f1_there == pytest.approx(at[event.threshold])


def test_a_model_that_never_sees_the_rare_class_has_no_recall_though_it_be_right_in_98_of_100() -> (
    None
):
    scores = np.tile([0.9, 0.1], (100, 1))
    targets = np.eye(2, dtype=bool)[[0] * 98 + [1] * 2]
    (_, event) = detections(scores, targets)
    assert (event.recall, event.f1, event.num_found) == (0, 0, 0)
    assert np.isnan(event.precision)
    assert event.auc == 50
    assert event.recall_interval.high > 50


def test_of_clips_of_several_classes_each_counts_from_one_half_on() -> None:
    scores = np.array([[0.6, 0.7], [0.4, 0.5], [np.nan, np.nan]])
    targets = np.array([[1, 1], [0, 1], [1, 0]], dtype=bool)
    first, second = detections(scores, targets)
    assert (first.num_found, first.precision, first.recall) == (1, 100, 50)
    assert (second.num_found, second.recall) == (2, 100)


def test_a_clip_that_could_not_be_read_is_never_found_before_the_end() -> None:
    scores = np.array([[0.1, 0.9], [np.nan, np.nan]])
    (_, event) = detections(scores, np.array([[0, 1], [0, 1]], dtype=bool))
    assert (event.num_found, event.recall) == (1, 50)


def test_a_class_without_a_clip_has_no_numbers() -> None:
    (_, _, none) = detections(np.eye(3)[[0, 1]], np.eye(3, dtype=bool)[[0, 1]])
    assert np.isnan([none.recall, none.f1, none.auc, none.threshold, none.f1_there]).all()


def test_a_curve_goes_from_none_to_all() -> None:
    of = curve(np.array([0.9, 0.5, 0.5]), np.array([True, False, True]))
    assert of.thresholds.tolist() == [np.inf, 0.9, 0.5]
    assert of.recall.tolist() == [0, 0.5, 1]
    assert of.false_positive_rate.tolist() == [0, 0, 1]


def test_labels_that_were_exchanged_are_suspects() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    logits = rng.normal(size=(400, 4)) + 5 * np.eye(4)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = rng.choice(400, 20, replace=False)
    given_labels = labels.copy()
    given_labels[wrong] = (labels[wrong] + 1) % 4
    found = label_suspects(probabilities, given_labels)
    rows = {each.row for each in found[:20]}
    assert len(rows & {*wrong.tolist()}) >= 18
    assert all(each.looks_like == labels[each.row] for each in found if each.row in wrong)
    assert label_suspects(np.zeros((0, 2)), np.zeros(0, np.int64)) == []


def test_a_temperature_makes_a_model_as_sure_as_it_is_right() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2000, 5)) * 2
    powers = np.exp(logits)
    labels = np.array([rng.choice(5, p=row / row.sum()) for row in powers])
    assert fitted_temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)
    found = temperature_scaling(3 * logits, labels)
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.nll_after < found.nll_before
    assert found.ece_after < 4 < found.ece_before
    assert temperature_scaling(logits[:3], labels[:3]) is None


@pytest.mark.parametrize("gap", [0.1, 4.0, 40.0, 400.0])
def test_of_answers_that_are_all_right_or_all_wrong_no_temperature_is_best(gap):
    """However sure they are, also where each probability rounds to one or to nothing."""
    labels = np.arange(30) % 3
    assert is_at_bound(fitted_temperature(gap * np.eye(3)[labels], labels))
    assert is_at_bound(fitted_temperature(gap * np.eye(3)[(labels + 1) % 3], labels))
