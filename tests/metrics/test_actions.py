"""Actions of a verb and a noun, against all products of probabilities, ranked one by one."""

from __future__ import annotations

import numpy as np
import pytest

from marey.engine.inference.measures import (
    TrainingCounts,
    head_estimates,
    joint_estimates,
    metrics_of_heads,
)
from marey.metrics.actions import action_accuracy
from marey.metrics.catalog import find_metric

RNG = np.random.default_rng(0)
LABELS = {"verb": RNG.integers(7, size=60), "noun": RNG.integers(9, size=60)}
LOGITS = {
    head: (RNG.normal(size=(60, k)) + np.eye(k)[LABELS[head]]).astype(np.float32)
    for head, k in (("verb", 7), ("noun", 9))
}
PROBS = {
    head: (np.exp(of) / np.exp(of).sum(axis=1, keepdims=True)).astype(np.float32)
    for head, of in LOGITS.items()
}
TAIL = {"verb": LABELS["verb"] > 4, "noun": LABELS["noun"] > 6}
SUBSETS = {
    "tail": TAIL | {"action": TAIL["verb"] | TAIL["noun"]},
    "unseen": dict.fromkeys(("verb", "noun", "action"), np.arange(60) % 4 == 0),
}


def by_all_products(k: int, clips: np.ndarray | slice = slice(None)) -> float:
    """The official number: the label among the k highest of all products of probabilities."""
    pairs = PROBS["verb"][clips][:, :, None] * PROBS["noun"][clips][:, None, :]
    label = LABELS["verb"][clips] * 9 + LABELS["noun"][clips]
    best = np.argsort(-pairs.reshape(len(pairs), -1), axis=1)[:, :k]
    return float(100 * (best == label[:, None]).any(axis=1).mean())


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_an_action_is_ranked_among_all_pairs(k: int) -> None:
    logs = {head: np.log(of) for head, of in PROBS.items()}
    assert action_accuracy(logs, LABELS, k) == pytest.approx(by_all_products(k))


def test_the_official_top_5_and_that_of_lmrs_code_stand_apart() -> None:
    metrics = metrics_of_heads(LOGITS, LABELS, TrainingCounts(), "logits")
    best = {head: np.argsort(-of, axis=1)[:, :5] for head, of in LOGITS.items()}
    both = np.all([(best[h] == LABELS[h][:, None]).any(axis=1) for h in best], axis=0)
    assert metrics["action/top1"] == pytest.approx(by_all_products(1))
    assert metrics["action/top1"] == metrics["acc/top1"]
    assert metrics["action/top5"] == pytest.approx(by_all_products(5))
    assert metrics["action/top5_of_each"] == pytest.approx(100 * both.mean())
    assert metrics["action/top5"] < metrics["action/top5_of_each"]


def test_scores_that_are_probabilities_give_the_same_actions() -> None:
    logits, probs = (
        metrics_of_heads(of, LABELS, TrainingCounts(), average, SUBSETS)  # type: ignore[arg-type]
        for of, average in ((LOGITS, "logits"), (PROBS, "probs"))
    )
    actions = [name for name in logits if name.startswith("action/")]
    assert len(actions) == 5
    assert [logits[name] for name in actions] == [probs[name] for name in actions]


def test_tail_and_unseen_are_numbers_of_their_clips_alone() -> None:
    metrics = metrics_of_heads(LOGITS, LABELS, TrainingCounts(), "logits", SUBSETS)
    assert metrics["action/top1/tail"] == pytest.approx(
        by_all_products(1, SUBSETS["tail"]["action"])
    )
    assert metrics["action/top1/unseen"] == pytest.approx(
        by_all_products(1, SUBSETS["unseen"]["action"])
    )
    for head in ("verb", "noun"):
        for name, of in SUBSETS.items():
            right = LOGITS[head].argmax(axis=1) == LABELS[head]
            assert metrics[f"{head}/acc/top1/{name}"] == pytest.approx(100 * right[of[head]].mean())
    estimates = head_estimates(LOGITS["verb"], LABELS["verb"], None, {"tail": TAIL["verb"]})
    assert estimates["acc/top1/tail"].num_clips == TAIL["verb"].sum()


def test_numbers_of_all_heads_have_intervals_as_those_of_each() -> None:
    estimates = joint_estimates(LOGITS, LABELS, "logits", SUBSETS)
    metrics = metrics_of_heads(LOGITS, LABELS, TrainingCounts(), "logits", SUBSETS)
    assert {key: each.value for key, each in estimates.items()}.items() <= metrics.items()
    assert estimates["action/top1"].num_clips == 60
    assert estimates["action/top1/tail"].num_clips == SUBSETS["tail"]["action"].sum()
    assert all(each.low <= each.value <= each.high for each in estimates.values())
    assert joint_estimates({"verb": LOGITS["verb"]}, LABELS, "logits") == {}


def test_a_clip_without_scores_is_a_wrong_action() -> None:
    holed = {head: of.copy() for head, of in LOGITS.items()}
    first = holed["noun"].argmax(axis=1) == LABELS["noun"]
    first &= holed["verb"].argmax(axis=1) == LABELS["verb"]
    row = int(np.flatnonzero(first)[0])
    for of in holed.values():
        of[row] = np.nan
    before, after = (
        metrics_of_heads(of, LABELS, TrainingCounts(), "logits")["action/top1"]
        for of in (LOGITS, holed)
    )
    assert after == pytest.approx(before - 100 / 60)


def test_other_heads_have_no_actions() -> None:
    of = {"verb": LOGITS["verb"], "colour": LOGITS["noun"]}
    labels = {"verb": LABELS["verb"], "colour": LABELS["noun"]}
    metrics = metrics_of_heads(of, labels, TrainingCounts(), "logits")
    assert "acc/top1" in metrics
    assert not [name for name in metrics if name.startswith("action/")]


def test_no_clip_of_a_part_is_nothing_tested() -> None:
    none = {"tail": dict.fromkeys(("verb", "noun", "action"), np.zeros(60, bool))}
    metrics = metrics_of_heads(LOGITS, LABELS, TrainingCounts(), "logits", none)
    assert np.isnan([metrics["action/top1/tail"], metrics["verb/acc/top1/tail"]]).all()


def test_names_of_parts_are_found_under_their_heads() -> None:
    named = find_metric("verb/acc/top1/tail")
    assert named is not None
    assert (named.head, named.metric.title) == ("verb", "top-1 of the tail")
    action = find_metric("action/top5")
    assert action is not None
    assert (action.head, action.title) == ("", "action top-5")
