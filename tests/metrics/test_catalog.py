"""The table of metrics: names are found by head, columns follow, a row of one's own counts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from marey.engine.inference.measures import TrainingCounts, head_metrics, metrics_of_heads
from marey.metrics.catalog import (
    ACCURACY,
    METRICS,
    Metric,
    add_metric,
    find_metric,
    headlines,
)

SCORES = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]]
LABELS = np.array([0, 1, 2, 2])


@pytest.fixture
def own_metric() -> Iterator[Metric]:
    metric = add_metric(
        Metric(key="wrong", title="wrong answers", higher_is_better=False, measure=share_wrong)
    )
    yield metric
    METRICS.remove(metric)


def share_wrong(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(100 * (scores.argmax(axis=1) != labels).mean())


def test_every_key_and_column_is_of_one_row() -> None:
    names = [name for row in METRICS for name in {row.key, row.column or row.key}]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "key", "head", "column"),
    [
        ("acc/top1", "acc/top1", "", "acc/top1"),
        ("verb/acc/few", "acc/few", "verb", "verb/acc/few"),
        ("loss", "loss", "", "val/loss"),
        ("noun/loss", "loss", "noun", "noun/val/loss"),
        ("noun/val/loss", "loss", "noun", "noun/val/loss"),
        ("train/loss", "train/loss", "", "train/loss"),
    ],
)
def test_a_name_is_found_by_its_key_or_its_column(
    name: str, key: str, head: str, column: str
) -> None:
    named = find_metric(name)
    assert named is not None
    assert (named.metric.key, named.head, named.column) == (key, head, column)


def test_a_name_that_no_row_has_is_not_found() -> None:
    assert find_metric("acc/feww") is None
    assert find_metric("") is None


def test_of_several_heads_the_first_number_of_each_is_a_headline() -> None:
    scores, labels = {"verb": SCORES, "noun": SCORES}, {"verb": LABELS, "noun": LABELS}
    metrics = metrics_of_heads(scores, labels, TrainingCounts(), "logits")
    assert list(headlines(metrics)) == ["acc/top1", "verb/acc/top1", "noun/acc/top1"]
    assert list(headlines({"mAP": 1.0, "mAP/few": 1.0, "hit@1": 1.0})) == ["mAP", "hit@1"]


def test_the_loss_of_several_heads_is_their_sum_as_in_training() -> None:
    scores, labels = {"verb": SCORES, "noun": 2 * SCORES}, {"verb": LABELS, "noun": LABELS}
    metrics = metrics_of_heads(scores, labels, TrainingCounts(), "logits")
    assert metrics["loss"] == pytest.approx(metrics["verb/loss"] + metrics["noun/loss"])


def test_numbers_come_in_the_order_of_the_rows() -> None:
    keys = [row.key for row in METRICS]
    counts = TrainingCounts({"label": np.array([90, 30, 5])})
    found = list(head_metrics(SCORES, LABELS, counts.groups("label")))
    assert found == sorted(found, key=keys.index)


def test_a_row_of_ones_own_is_measured_with_the_others(own_metric: Metric) -> None:
    assert head_metrics(SCORES, LABELS, None)["wrong"] == 25
    assert own_metric.text(25.0) == "25.0 %"
    with pytest.raises(ValueError, match=r"key is 'wrong', which marey\.metrics\.catalog has"):
        add_metric(own_metric)


def test_nothing_tested_is_a_dash_whatever_the_unit() -> None:
    rows = (Metric(key="a", title="a"), Metric(key="b", title="b", unit="", chart=ACCURACY))
    assert [row.text(math.nan) for row in rows] == ["–", "–"]
    assert [row.text(0.25) for row in rows] == ["0.2 %", "0.25"]
    assert [row.heading for row in rows] == ["a (%)", "b"]
