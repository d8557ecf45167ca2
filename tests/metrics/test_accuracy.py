from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.engine.inference.measures import head_metrics
from marey.metrics.accuracy import (
    class_accuracy,
    confusion_matrix,
    ranks,
    topk_accuracy,
)
from marey.metrics.calibration import reliability

SCORES = np.array([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
LABELS = np.array([0, 0, 2, 2])


def test_counts_by_hand() -> None:
    assert topk_accuracy(SCORES, LABELS) == 50
    assert topk_accuracy(SCORES, LABELS, 2) == 50
    assert topk_accuracy(SCORES, LABELS, 3) == 100
    assert class_accuracy(SCORES, LABELS)[[0, 2]].tolist() == [50, 50]
    assert np.isnan(class_accuracy(SCORES, LABELS)[1])
    assert confusion_matrix(SCORES, LABELS).tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_the_class_average_weighs_classes_alike() -> None:
    scores = np.eye(2)[[0, 0, 0, 0]]
    assert head_metrics(scores, np.array([0, 0, 0, 1]), None)["acc/class_avg"] == 50


def test_equal_scores_rank_by_class_number() -> None:
    assert ranks(np.zeros((3, 3)), np.array([0, 1, 2])).tolist() == [0, 1, 2]


def test_a_clip_without_scores_is_wrong_at_every_k() -> None:
    scores = np.array([[np.nan, np.nan], [1.0, 0.0]])
    assert topk_accuracy(scores, np.array([0, 0]), 2) == 50
    assert confusion_matrix(scores, np.array([0, 0])).sum() == 1


def test_nothing_gives_nan() -> None:
    assert np.isnan(topk_accuracy(np.empty((0, 3)), np.empty(0, np.int64)))


@given(st.integers(1, 40), st.integers(2, 8), st.integers(0, 2**32))
def test_accuracy_grows_with_k_to_all(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 3, (n, k)).astype(float), rng.integers(0, k, n)
    found = [topk_accuracy(scores, labels, i) for i in range(1, k + 1)]
    assert found == sorted(found)
    assert found[-1] == 100
    assert np.trace(confusion_matrix(scores, labels)) == round(found[0] * n / 100)


def test_a_model_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    probabilities = np.array([[0.75, 0.25]] * 4)
    bins = reliability(probabilities, np.array([0, 0, 0, 1]), num_bins=4)
    assert bins.counts.tolist() == [0, 0, 4, 0]
    assert bins.expected_calibration_error == 0


def test_a_model_always_sure_and_half_right_is_off_by_half() -> None:
    bins = reliability(np.array([[1.0, 0.0]] * 2), np.array([0, 1]))
    assert bins.expected_calibration_error == pytest.approx(50)
