from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.folds import deal_folds
from marey.data.own_videos.init import init_dataset
from marey.data.own_videos.name_groups import Groups
from marey.data.own_videos.splits import SplitRule, divide
from marey.errors import ManifestError

clips = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=12, max_size=80)


@given(clips, st.integers(2, 5), st.integers(0, 9))
def test_every_group_is_in_one_fold_and_no_fold_is_empty(pairs, number, seed):
    labels, groups = np.array(pairs).T
    if number > len(set(groups)):
        return
    folds = deal_folds(labels, groups, number, np.random.default_rng(seed))
    assert len(set(zip(groups, folds, strict=True))) == len(set(groups))
    assert set(folds) == set(range(number))


@given(st.lists(st.integers(0, 6), min_size=5, max_size=80), st.integers(2, 5))
def test_without_groups_folds_differ_by_one_clip_of_a_class_and_in_all(labels, number):
    labels = np.array(labels)
    folds = deal_folds(labels, np.arange(len(labels)), number, np.random.default_rng(0))
    counts = [np.bincount(labels[folds == fold], minlength=7) for fold in range(number)]
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(np.sum(counts, axis=1)) <= 1


def test_what_is_tested_on_is_in_no_fold_and_the_first_fold_validates():
    labels, people = np.arange(20) % 2, [f"p{n // 2}" for n in range(20)]
    rule = SplitRule(folds=4, test=0.2)
    division = divide(labels, rule, columns={}, groups=Groups("person", people))
    is_test = division.sides == 2
    assert 0 < is_test.sum() <= 6
    np.testing.assert_array_equal(division.folds < 0, is_test)
    np.testing.assert_array_equal(division.folds == 0, division.sides == 1)
    assert division.how == "person, so that none is on two sides; fold 0 is val"


def test_a_split_of_the_source_stays_beside_folds():
    columns = {"split": ["train", "val", "train", "test", "train"]}
    division = divide(np.zeros(5, int), SplitRule(folds=2), columns=columns, split="split")
    assert division.sides.tolist() == [0, 1, 0, 2, 0]
    assert sorted(division.folds.tolist()) == [-1, 0, 0, 1, 1]
    own = columns | {"fold": ["3", "", "4", "3", "3"]}
    division = divide(np.zeros(5, int), SplitRule(), columns=own, split="split", fold="fold")
    assert division.folds.tolist() == [3, -1, 4, -1, 3]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"folds": 1}, r"1 folds, expected 2 or more.*--folds 5"),
        ({"folds": 5, "val": 0.2}, r"each fold validates once: leave out --val"),
        ({"folds": 5, "test": 1.0}, r"5 folds are asked for, and all clips to test on"),
        ({"folds": 5}, r"5 folds of 3 groups.*--folds 3 has one of each; --group none"),
    ],
)
def test_folds_that_cannot_be_are_refused_with_what_can(rule, message):
    with pytest.raises(ManifestError, match=message):
        divide(np.zeros(6, int), SplitRule(**rule), columns={}, groups=Groups("x", list("aabbcc")))


def test_shares_beside_a_split_of_the_source_are_said_to_have_no_effect():
    columns = {"split": ["train", "val", "test"]}
    rule = SplitRule(folds=2, test=0.3)
    made = divide(np.zeros(3, int), rule, columns=columns, split="split")
    assert made.notes[-1].startswith("--test 0.3 has no effect: the source has its own split")
    assert made.shares is None  # so that the command that does it again has none
    rule = SplitRule(val=0.2, test_where=("split", {"test"}))
    assert "clips are taken by value" in divide(np.zeros(3, int), rule, columns=columns).notes[-1]


def test_more_folds_than_clips_are_refused_with_how_many_can_be_and_as_many_are_advised():
    with pytest.raises(ManifestError, match=r"9 folds of 6 groups.*--folds 6 has one of each$"):
        divide(np.zeros(6, int), SplitRule(folds=9), columns={})
    made = divide(np.zeros(6, int), SplitRule(), columns={}, groups=Groups("x", list("aabbcc")))
    assert "--folds 3 lets each clip validate once" in made.notes[-1]


def test_classes_that_are_not_in_every_fold_are_named():
    labels = np.array([0] * 8 + [1] + [2] * 2)
    division = divide(labels, SplitRule(folds=4), columns={}, names=["run", "hop", "sit"])
    alone, rare = division.notes[-2:]
    assert alone.startswith("1 class in one fold alone, with nothing to train on: hop")
    assert rare.startswith("1 class in fewer than 4 folds: sit; with --folds 2")


def test_folds_are_written_printed_and_recorded(tmp_path):
    rows = [f"{word}/{n}.mp4,{word}" for word in ("hop", "run") for n in range(6)]
    (tmp_path / "l.csv").write_text("\n".join(["path,label", *rows, ""]))
    words = ["data", "init", str(tmp_path / "l.csv"), str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, "--folds", "3", "--no-probe"])
    assert "fold 1: 4 clips of 4 groups: hop 2, run 2" in result.output
    record = json.loads((tmp_path / "out" / "init.json").read_text())
    assert record["folds"][2] == {"fold": 2, "groups": 4, "classes": {"hop": 2, "run": 2}}
    assert "--folds 3" in record["command"]
    made = read_manifest(tmp_path / "out" / "manifest.csv")
    assert made.fold_counts() == {0: 4, 1: 4, 2: 4}
    assert made.split_counts() == {"train": 8, "val": 4}
    for kept in (made.with_fold(2), made):  # a manifest with folds is a source of them
        assert kept.with_fold(0).split_counts() == {"train": 8, "val": 4}
    again = init_dataset(tmp_path / "out" / "manifest.csv", tmp_path / "again", probe=False)
    assert again.manifest.folds.tolist() == made.folds.tolist()
    with pytest.raises(ManifestError, match=r"`fold` has folds, and 2 are asked.*--ignore fold"):
        init_dataset(
            tmp_path / "out" / "manifest.csv", tmp_path / "x", probe=False, rule=SplitRule(folds=2)
        )


def test_a_column_of_numbers_alone_is_taken_as_folds_where_a_person_says_so(tmp_path):
    (tmp_path / "l.csv").write_text("path,label,part\na.mp4,x,1\nb.mp4,x,2\nc.mp4,y,2\n")
    words = ["data", "init", str(tmp_path / "l.csv"), str(tmp_path / "out"), "--no-probe"]
    result = CliRunner().invoke(app, [*words, "--columns", "fold=part"])
    assert "the folds of the source; fold 1 is val" in " ".join(result.output.split())
    assert read_manifest(tmp_path / "out" / "manifest.csv").fold_counts() == {1: 1, 2: 2}
