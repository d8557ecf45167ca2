"""Groups and metrics of the long tail against what the published code gave, and real counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marey.engine.inference.measures import head_estimates
from marey.metrics.accuracy import joint_accuracy, topk_accuracy
from marey.metrics.average_precision import (
    average_precision,
    hit_at,
    release_mean_average_precision,
)
from marey.metrics.groups import (
    Groups,
    paper_groups,
    profile,
    release_groups,
    videolt_groups,
)
from marey.metrics.longtail import release_epoch_stats, release_lt_accuracies
from tests.conftest import goldens
from tests.parity.golden import golden_rule

FOLDER = goldens() / "lmr"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no goldens at {FOLDER}; set MAREY_GOLDENS"
)
SPLITS = "config_splits(lmr-release defaults.py)"
SETS = ("verbs", "nouns", "ssv2_lt")


def content(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / name).read_text(encoding="utf-8")))


def counts_of(name: str) -> np.ndarray:
    if name == "ssv2_lt":
        return np.array(content("epic_groups.json")["ssv2_lt_train_counts"])
    return np.array(content("epic_verb_counts.json")[f"{name.removesuffix('s')}_train"])


def release_of(name: str) -> Groups:
    return release_groups(counts_of(name))


def rule_input(text: str) -> np.ndarray:
    """`sigmoid(golden_input((40,6),130))` and the like, as the files write their inputs."""
    shape, seed = text.partition("golden_input((")[2].split(")")[0:2]
    drawn: np.ndarray = golden_rule(FOLDER).golden_input(
        [int(size) for size in shape.split(",")], int(seed.strip(", "))
    )
    if "sigmoid" in text:
        drawn = 1 / (1 + np.exp(-drawn))
    if ">" in text:
        drawn = drawn > float(text.partition(">")[2].partition(",")[0])
    if "column 0 set to 0" in text:
        drawn[:, 0] = 0
    return drawn


def raised(scores: np.ndarray, labels: np.ndarray, by: float) -> np.ndarray:
    scores = scores.copy()
    scores[np.arange(len(labels)), labels] += np.float32(by)
    return scores


@pytest.mark.parametrize("name", SETS)
def test_the_release_groups_are_the_published_lists_in_their_order(name: str) -> None:
    wanted = content("epic_groups.json")[name][SPLITS]
    for group, classes in release_of(name):
        assert classes.tolist() == wanted[group]


@pytest.mark.parametrize("name", SETS)
def test_the_paper_groups_cut_closest_to_half(name: str) -> None:
    counts, wanted = counts_of(name), content("epic_groups.json")[name]
    groups, rule = paper_groups(counts), wanted["rule_50%_closest"]
    assert groups.head.tolist() == rule["head"]
    assert [len(groups.tail), len(groups.few)] == [rule["n_tail"], rule["n_few"]]
    assert sorted(groups.few.tolist()) == wanted["few_shot<=20"]
    found = profile(counts)
    assert (found.head_percent, found.few_percent) == pytest.approx((rule["H%"], rule["F%"]))
    assert found.imbalance == wanted["imbalance_max_over_min_nonzero"]


def test_the_published_ssv2lt_and_verb_groups_lack_a_class_and_nouns_overlap() -> None:
    for name in SETS:
        parts = [set(classes.tolist()) for _, classes in release_of(name)]
        wanted = content("epic_groups.json")[name][SPLITS]
        assert set(range(len(counts_of(name)))) - set.union(*parts) == set(wanted["missing"])
        assert sorted(parts[0] & parts[1]) == wanted["in_two_groups"]


@pytest.mark.parametrize("name", ["verbs", "nouns"])
def test_the_few_shot_number_of_epic_says_on_how_little_it_rests(name: str) -> None:
    wanted = content("epic_groups.json")[name][SPLITS]
    tested = np.array(content("epic_verb_counts.json")[f"{name.removesuffix('s')}_val"])
    labels = np.repeat(np.arange(len(tested)), tested)
    scores = np.zeros((len(labels), len(tested)), np.float32)
    found = head_estimates(scores, labels, release_of(name))
    for group in ("head", "tail", "few"):
        estimate = found[f"acc/{group}"]
        assert estimate.num_classes == wanted[f"{group}_val_classes_present"]
        assert estimate.num_clips == wanted[f"{group}_val_segments"]


@pytest.mark.parametrize("case", range(8))
def test_group_accuracies_are_those_of_the_release(case: int) -> None:
    golden = content("metrics.json")["lt"][case]
    name = {"epic_verbs": "verbs", "epic_nouns": "nouns", "ssv2lt": "ssv2_lt"}
    if golden["splits"] == "defaults.py":
        groups = release_of(name[golden["counts"]])
    else:
        groups = Groups(*map(np.array, golden["splits"]), "given")
    labels = np.array(golden["labels"])
    scores = raised(rule_input(golden["preds"]), labels, float(golden["preds"].split("+=")[1]))
    wanted = golden["lt_accuracies[all,head,tail,few]"]
    assert release_lt_accuracies(scores, labels, groups) == pytest.approx(wanted, abs=1e-6)
    wanted = golden["lt_epoch_stats[all,head,tail,few]"]
    assert release_epoch_stats(scores, labels, groups) == pytest.approx(wanted, abs=1e-6)
    found = [topk_accuracy(scores, labels, k) for k in (1, min(5, scores.shape[1]))]
    assert found == pytest.approx(golden["top1_top5"], abs=1e-4)


def test_an_action_is_right_when_verb_and_noun_are() -> None:
    golden = content("metrics.json")["multitask_topk"]
    labels = {head: np.array(golden[f"{head}_labels"]) for head in ("verb", "noun")}
    scores = {
        head: raised(rule_input(golden[head]), labels[head], by)
        for head, by in (("verb", 2.0), ("noun", 2.5))
    }
    found = [joint_accuracy(scores, labels, k) for k in (1, 5)]
    assert found == pytest.approx(golden["top1_top5"])


@pytest.mark.parametrize("case", range(2))
def test_average_precision_is_that_of_the_meter(case: int) -> None:
    golden = content("metrics.json")["ap_meter"][case]
    found = average_precision(rule_input(golden["scores"]), rule_input(golden["targets"]))
    assert np.isnan(found[0])  # the meter says 0 of a class without positives
    assert np.nan_to_num(found).tolist() == pytest.approx(golden["ap"], abs=1e-6)
    assert np.nan_to_num(found).mean() == pytest.approx(golden["map"], abs=1e-6)


def test_mean_average_precision_of_groups_is_that_of_videolt(shared_dir: Path) -> None:
    file = shared_dir / "data" / "annotations" / "videolt" / "count-labels-train.lst"
    counts = np.array([int(float(line.split()[-1])) for line in file.read_text().splitlines()])
    groups, wanted = videolt_groups(counts), content("videolt.json")["groups"]
    assert [len(classes) for _, classes in groups] == [47, wanted["medium"], wanted["tail<=100"]]
    assert sorted(groups.head.tolist()) == wanted["head_ids"]
    golden = content("videolt.json")["metrics"][0]
    scores, targets = rule_input(golden["scores"]), rule_input(golden["targets"])
    precision = np.nan_to_num(average_precision(scores, targets))
    assert precision[:10].tolist() == pytest.approx(golden["ap_first"], rel=1e-6)
    found = release_mean_average_precision(scores, targets, groups)
    assert found == pytest.approx([golden[k] for k in ("mAP", "head", "medium", "tail")], rel=1e-5)
    hits = [hit_at(scores, targets, k) for k in (1, 5)]
    assert hits == pytest.approx(golden["acc1_acc5"], abs=1e-4)
