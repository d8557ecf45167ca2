from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.data.own_videos.dealing import deal
from marey.data.own_videos.name_groups import Groups
from marey.data.own_videos.splits import (
    SplitRule,
    divide,
    parse_where,
    split_by_class,
)
from marey.errors import ManifestError

clips = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=80)
shares = st.sampled_from([(0.8, 0.2, 0.0), (0.6, 0.2, 0.2), (1.0, 0.0, 0.0), (0.5, 0.0, 0.5)])


def columns_of(pairs):
    labels, groups = np.array(pairs).T
    _, labels = np.unique(labels, return_inverse=True)
    _, groups = np.unique(groups, return_inverse=True)
    return labels, groups


@given(clips, shares, st.integers(0, 9))
def test_no_group_is_ever_on_two_sides(pairs, shares, seed):
    labels, groups = columns_of(pairs)
    sides = deal(labels, groups, shares, np.random.default_rng(seed))
    assert len({(g, s) for g, s in zip(groups, sides, strict=True)}) == len(set(groups))
    assert set(sides) <= {side for side in range(3) if shares[side]}


@given(clips, shares, st.integers(0, 9))
def test_with_enough_groups_every_side_that_is_asked_for_has_one(pairs, shares, seed):
    labels, groups = columns_of(pairs)
    sides = deal(labels, groups, shares, np.random.default_rng(seed))
    assert 0 in sides
    if len(set(groups)) >= 3:
        assert set(sides) == {side for side in range(3) if shares[side]}


@given(clips, shares, st.integers(0, 9))
def test_every_class_is_trained_on_and_divided_as_asked(pairs, shares, seed):
    labels, _ = columns_of(pairs)
    sides = split_by_class(labels, shares, np.random.default_rng(seed))
    for label in np.unique(labels):
        mine = sides[labels == label]
        counts = np.bincount(mine, minlength=3)
        assert counts[0] >= 1
        for side in (1, 2):
            assert shares[side] or not counts[side]
            if len(mine) >= 3 and shares[side]:
                assert counts[side] >= 1
                assert counts[side] <= shares[side] * len(mine) + 1


def test_groups_are_dealt_so_that_every_class_has_about_its_share():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 25)
    labels = rng.integers(10, size=1000)
    sides = deal(labels, groups, (0.8, 0.2, 0.0), rng)
    val = np.bincount(labels[sides == 1], minlength=10) / np.bincount(labels)
    assert 0.18 <= (sides == 1).mean() <= 0.22
    np.testing.assert_allclose(val, 0.2, atol=0.1)


def test_the_same_seed_gives_the_same_split_and_another_another():
    labels = np.arange(100) % 4
    first, again, other = (
        divide(labels, SplitRule(seed=seed), columns={}).sides for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


ROWS = {
    "speaker": ["F1", "F1", "M1", "M1", "M2", "M2"],
    "take": ["1", "2", "1", "2", "1", "10"],
    "note": ["", "x", "", "", "", ""],
}
LABELS = np.array([0, 1, 0, 1, 0, 1])


def test_groups_are_not_divided_and_it_is_said():
    groups = Groups("speaker", ROWS["speaker"])
    division = divide(LABELS, SplitRule(val=0.3), columns=ROWS, groups=groups)
    assert division.how == "speaker, so that none is on two sides"
    assert division.groups == ROWS["speaker"]
    assert len(set(division.sides[[0, 1]])) == len(set(division.sides[[2, 3]])) == 1
    assert divide(LABELS, SplitRule(), columns=ROWS).how.startswith("class")


def test_values_of_a_column_can_be_left_out_of_training():
    rule = SplitRule(val_where=parse_where("take:2"), test_where=("take", {"10"}))
    groups = Groups("speaker", ROWS["speaker"])
    division = divide(LABELS, rule, columns=ROWS, groups=groups, names=["run", "hop"])
    assert division.sides.tolist() == [0, 1, 0, 1, 0, 2]
    assert division.how == "val is take 2; test is take 10"
    assert division.notes == (
        "the same speaker is on several sides: results will not tell of a new one",
        "no clip to train on of 1 of 2 classes: hop",
        "no clip to validate on of 1 of 2 classes: run",
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"val_where": ("take", {"7"})}, r"no clip has take '7'.*there are 1, 10, 2"),
        ({"val_where": ("day", {"7"})}, r"no column 'day' to split by"),
        ({"val_where": ("take", {"1"}), "test_where": ("speaker", {"F1"})}, "asked for twice"),
    ],
)
def test_values_that_are_not_there_or_asked_for_twice_are_errors(rule, message):
    with pytest.raises(ManifestError, match=message):
        divide(LABELS, SplitRule(**rule), columns=ROWS)


def test_a_split_the_source_has_is_kept():
    given = {"split": ["training", "val", "Test", "train", "train", "train"]}
    division = divide(LABELS, SplitRule(), columns=given, split="split")
    assert division.sides.tolist() == [0, 1, 2, 0, 0, 0]
    assert division.how == "the split of the source"


def test_shares_that_leave_nothing_to_train_on_are_an_error():
    with pytest.raises(ManifestError, match=r"val 0\.6 and test 0\.4 are not shares"):
        SplitRule(val=0.6, test=0.4)


@pytest.mark.parametrize("text", ["speaker", "speaker:", ":1", "speaker: , "])
def test_a_condition_is_a_column_and_values(text):
    with pytest.raises(ManifestError, match=r"is no condition.*column:value"):
        parse_where(text)
