"""Every number that scikit-learn has too is scikit-learn's, with many equal scores.

Where the two differ by rule the data is changed for scikit-learn, and the test says how: it knows
no clips without scores, and ranks equal scores by the highest class number first.
"""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from marey.engine.inference.measures import head_metrics, mean_loss
from marey.metrics.accuracy import (
    class_accuracy,
    confusion_matrix,
    topk_accuracy,
)
from marey.metrics.average_precision import (
    average_precision,
    hit_at,
    mean_average_precision,
)
from marey.metrics.calibration import reliability
from marey.metrics.longtail import ALL

NUM_CLASSES = 5


def drawn(seed: int, n: int, *, missing: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scores [n 5] of few values, so that many are equal, and labels; some clips lack scores."""
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 4, (n, NUM_CLASSES)) / 4, rng.integers(0, NUM_CLASSES, n)
    if missing:
        scores[rng.random(n) < 0.2] = np.nan
    return scores, labels


def without_nan(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The scores, those of clips without any so that their label is ranked last."""
    last = 1.0 - np.eye(NUM_CLASSES)[labels]
    return np.where(np.isnan(scores), last, scores)


EACH = (st.integers(0, 2**32), st.integers(1, 40), st.booleans())


@given(*EACH, st.integers(1, NUM_CLASSES - 1))
def test_top_k(seed: int, n: int, missing: bool, k: int) -> None:
    scores, labels = drawn(seed, n, missing=missing)
    mirrored = without_nan(scores, labels)[:, ::-1]
    wanted = sk.top_k_accuracy_score(
        NUM_CLASSES - 1 - labels, mirrored, k=k, labels=range(NUM_CLASSES)
    )
    assert topk_accuracy(scores, labels, k) == pytest.approx(100 * wanted)
    assert hit_at(scores, np.eye(NUM_CLASSES)[labels], k) == pytest.approx(100 * wanted)


@given(*EACH)
def test_accuracy_of_classes(seed: int, n: int, missing: bool) -> None:
    scores, labels = drawn(seed, n, missing=missing)
    answers = without_nan(scores, labels).argmax(axis=1)
    known = ~np.isnan(scores).any(axis=1)
    classes = range(NUM_CLASSES)
    recall = sk.recall_score(labels, answers, labels=classes, average=None, zero_division=np.nan)
    np.testing.assert_allclose(class_accuracy(scores, labels), 100 * recall)
    tested = np.unique(labels)
    balanced = sk.recall_score(labels, answers, labels=tested, average="macro")
    average = head_metrics(scores, labels, None)["acc/class_avg"]
    assert average == pytest.approx(100 * balanced)
    if known.any():
        wanted = sk.confusion_matrix(labels[known], answers[known], labels=classes)
        assert confusion_matrix(scores, labels).tolist() == wanted.tolist()


@given(*EACH)
def test_average_precision(seed: int, n: int, missing: bool) -> None:
    scores, _ = drawn(seed, n, missing=missing)
    targets = np.random.default_rng(seed + 1).random(scores.shape) > 0.6
    behind = np.nan_to_num(scores, nan=-1.0)  # clips without scores stand behind all others
    shown = targets.any(axis=0)
    wanted = np.full(NUM_CLASSES, np.nan)
    for column in np.flatnonzero(shown):
        wanted[column] = sk.average_precision_score(targets[:, column], behind[:, column])
    np.testing.assert_allclose(average_precision(scores, targets), wanted)
    if shown.any():
        macro = sk.average_precision_score(targets[:, shown], behind[:, shown], average="macro")
        assert head_metrics(scores, targets, None)["mAP"] == pytest.approx(100 * macro)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_the_order_of_clips_does_not_matter(seed: int, n: int) -> None:
    scores, _ = drawn(seed, n, missing=True)
    targets = np.random.default_rng(seed + 1).random(scores.shape) > 0.6
    order = np.random.default_rng(seed + 2).permutation(n)
    first, second = (
        mean_average_precision(scores[rows], targets[rows]) for rows in (slice(None), order)
    )
    np.testing.assert_array_equal(first[ALL].value, second[ALL].value)
    np.testing.assert_array_equal(first[ALL].interval, second[ALL].interval)


def test_scores_in_bfloat16_have_one_precision_whatever_their_order() -> None:
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(2000, 3)).astype(np.float32)
    scores = (exact.view(np.uint32) & 0xFFFF0000).view(np.float32)  # of 8 bits, as bfloat16
    targets = rng.random(scores.shape) < 0.2
    found = {
        head_metrics(scores[order], targets[order], None)["mAP"]
        for order in (rng.permutation(2000) for _ in range(5))
    }
    assert len(found) == 1
    assert found.pop() == pytest.approx(100 * sk.average_precision_score(targets, scores))


def test_bins_of_confidence() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(NUM_CLASSES), 300)
    labels = rng.integers(0, NUM_CLASSES, 300)
    found = reliability(probabilities, labels)
    filled = found.counts > 0
    right = probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=15)
    np.testing.assert_allclose(found.accuracy[filled], accuracy)
    np.testing.assert_allclose(found.confidence[filled], confidence)


def test_the_loss() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, NUM_CLASSES)).astype(np.float32)
    labels = rng.integers(0, NUM_CLASSES, 50)
    powers = np.exp(logits.astype(np.float64))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    wanted = sk.log_loss(labels, probabilities, labels=range(NUM_CLASSES))
    assert mean_loss(logits, labels, "logits") == pytest.approx(wanted, rel=1e-5)
    probabilities = probabilities.astype(np.float32)
    assert mean_loss(probabilities, labels, "probs") == pytest.approx(wanted, rel=1e-5)
