from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marey.models.video_model import consensus_of
from marey.recipes.catalog import find
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, to_yaml
from marey.timelines.decisions import (
    JESTER,
    Decided,
    Decision,
    HighestOfLast,
    MeanOfLast,
    PublishedDemo,
    decided,
)

SIZES = st.tuples(st.integers(1, 30), st.integers(2, 5), st.integers(0, 999))


def random_logits(size: tuple[int, int, int]) -> np.ndarray:
    t, k, seed = size
    return np.random.default_rng(seed).normal(0, 2, (t, k)).astype(np.float32)


def every_tenth(logits: np.ndarray) -> list[float]:
    return [i / 10 for i in range(len(logits))]


def said(rule: Decision, logits: np.ndarray) -> list[int]:
    return [each.said for each in decided(rule, logits, every_tenth(logits))]


@given(SIZES, st.integers(1, 9))
def test_without_more_conditions_the_best_class_of_the_mean_is_said(
    size: tuple[int, int, int], answers: int
) -> None:
    logits = random_logits(size)
    found = decided(MeanOfLast(answers), logits, every_tenth(logits))
    for i, each in enumerate(found):
        mean = logits[max(0, i + 1 - answers) : i + 1].mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(each.logits, mean, atol=1e-9)
        assert each.logits[each.said] == each.logits.max()


@given(SIZES, st.integers(1, 9), st.integers(1, 12))
def test_of_the_highest_the_mean_is_what_the_consensus_of_a_model_gives(
    size: tuple[int, int, int], answers: int, highest: int
) -> None:
    logits = random_logits(size)
    found = decided(HighestOfLast(answers, highest=highest), logits, every_tenth(logits))
    for i, each in enumerate(found):
        recent = torch.from_numpy(logits[max(0, i + 1 - answers) : i + 1])[None]
        np.testing.assert_allclose(each.logits, consensus_of(recent, highest)[0], atol=1e-5)


@given(SIZES, st.floats(0, 0.7), st.floats(1, 4))
def test_what_is_said_lasts_and_gives_way_to_what_is_surer_alone(
    size: tuple[int, int, int], least: float, times: float
) -> None:
    logits = random_logits(size)
    found = decided(MeanOfLast(2, times, least), logits, every_tenth(logits))
    runs = [len(list(of)) for _, of in groupby(each.said for each in found)]
    assert all((run + 1e-6) / 10 >= least for run in runs[:-1])
    for each in found:
        if each.said != each.before:
            assert each.logits[each.said] - each.logits[each.before] > np.log(times)


@given(SIZES, st.integers(1, 29))
def test_a_stream_that_is_cut_goes_on_from_what_was_decided_last(
    size: tuple[int, int, int], cut: int
) -> None:
    logits = random_logits(size)
    rule, times = MeanOfLast(3, 1.5, 0.15), every_tenth(logits)
    last: Decided | None = None
    for newest, when in zip(logits[:cut], times[:cut], strict=True):
        last = rule.step(last, newest, when)
    for newest, when, whole in list(zip(logits, times, decided(rule, logits, times), strict=True))[
        cut:
    ]:
        last = rule.step(last, newest, when)
        assert last.said == whole.said
        np.testing.assert_array_equal(last.logits, whole.logits)


def test_a_class_must_lead_without_a_break() -> None:
    best = [0, 1, 1, 0, 1, 1, 1, 1, 0]
    logits = np.eye(2)[best]
    assert said(MeanOfLast(1, least_seconds=0.2), logits) == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert said(MeanOfLast(1), logits) == best


def test_a_class_must_be_so_many_times_as_probable() -> None:
    logits = np.log([[0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    assert said(MeanOfLast(1, times=3), logits) == [0, 0, 1, 1, 0]


def upstream(logits: np.ndarray) -> list[int]:
    """online_demo/main.py, but for the first output, at which it may raise an IndexError."""
    sums: list[np.ndarray] = []
    history, shown = [2, 2], []
    for newest in logits:
        sums = [*sums, newest][-12:]
        index = int(np.argmax(sum(sums)))
        if index in [7, 8, 21, 22, 3]:
            index = history[-1]
        if index == 0:
            index = 2
        if index != history[-1] and history[-1] != history[-2]:
            index = history[-1]
        history = [*history, index][-20:]
        shown.append(history[-1])
    return shown


@given(st.integers(1, 60), st.integers(0, 999), st.floats(0, 6))
def test_the_published_demo_says_what_upstream_shows(t: int, seed: int, drift: float) -> None:
    rng = np.random.default_rng(seed)
    logits = (
        rng.normal(0, 1, (t, 27))
        + drift * rng.normal(0, 1, (t // 12 + 1, 27)).repeat(12, axis=0)[:t]
    )
    assert said(PublishedDemo(), logits) == upstream(logits)


def test_the_first_class_of_the_published_demo_may_be_any() -> None:
    assert said(PublishedDemo(), 9 * np.eye(27)[[20]]) == [20]
    assert said(PublishedDemo(), 9 * np.eye(27)[[0, 7]]) == [2, 2]


@given(st.permutations(range(27)), st.integers(0, 99))
def test_the_published_demo_knows_its_classes_by_name(order: list[int], seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (20, 27))
    labels = [JESTER[number].upper() for number in order]
    rule = PublishedDemo().for_labels(labels)
    there = [order[number] for number in said(rule, logits[:, order])]
    assert there == said(PublishedDemo(), logits)


def test_the_published_demo_is_a_rule_for_jester_alone() -> None:
    numbers = [str(number) for number in range(27)]
    assert PublishedDemo().for_labels(numbers) == PublishedDemo()
    with pytest.raises(ValueError, match=r"27 classes of Jester; the 2 here lack Doing other thin"):
        PublishedDemo().for_labels(["left", "right"])


def test_the_numbers_of_the_published_demo_are_these_gestures() -> None:
    rule = PublishedDemo()
    assert [JESTER[number] for number in sorted(rule.unsaid)] == [
        "Pulling Hand In",
        "Rolling Hand Backward",
        "Rolling Hand Forward",
        "Turning Hand Clockwise",
        "Turning Hand Counterclockwise",
    ]
    assert JESTER[rule.nothing] == "No gesture"
    assert len(set(JESTER)) == 27
    assert list(JESTER[:-4]) == sorted(JESTER[:-4])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MeanOfLast(0), "answers is 0, expected at least 1"),
        (lambda: MeanOfLast(times=0.5), "times is 0.5, expected at least 1"),
        (lambda: MeanOfLast(least_seconds=-1), "least_seconds is -1, expected at least 0"),
        (lambda: PublishedDemo(nothing=27), "nothing is 27, expected 0 to 26"),
    ],
)
def test_rules_that_cannot_be_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("rule", [None, MeanOfLast(4, 2.0, 0.5), PublishedDemo(nothing=5)])
def test_a_recipe_keeps_its_rule_in_yaml(rule: Decision | None) -> None:
    recipe = replace(find("tsm-r18"), decision=rule)
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
