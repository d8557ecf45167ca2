from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.checks.relatives import Relatives
from marey.data.own_videos.init import init_dataset
from marey.data.own_videos.look_alikes import LookAlikes
from marey.data.own_videos.name_groups import Groups, groups_by_pattern
from marey.data.own_videos.splits import SplitRule
from marey.errors import ManifestError
from marey.video.reading.reader import Span


def write_clip(folder: Path, seed: int, *, mirrored: bool = False) -> None:
    """A folder of four frames, of 8 x 8 squares that no other seed has."""
    folder.mkdir(parents=True)
    squares = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    for number in range(4):
        frame = np.kron(squares, np.ones((6, 6, 1), np.uint8)) // (number % 2 + 1)
        frame = np.ascontiguousarray(frame[:, ::-1] if mirrored else frame)
        (folder / f"{number + 1:05}.jpg").write_bytes(simplejpeg.encode_jpeg(frame))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve clips of two classes; hop/0 is mirrored in run/9."""
    for n in range(6):
        write_clip(tmp_path / "in" / "hop" / str(n), n)
    for n in range(6, 11):
        write_clip(tmp_path / "in" / "run" / str(n), n)
    write_clip(tmp_path / "in" / "run" / "mirrored", 0, mirrored=True)
    return tmp_path / "in"


def test_near_duplicates_stay_on_one_side_and_are_said_and_listed(tmp_path, source):
    for seed in range(4):
        report = init_dataset(
            source, tmp_path / "out", overwrite=True, num_workers=0, rule=SplitRule(seed=seed)
        )
        made = report.manifest
        rows = {path: row for row, path in enumerate(made.texts())}
        one, other = rows[str(source / "hop/0")], rows[str(source / "run/mirrored")]
        assert made.groups[one] == made.groups[other]
        assert made.splits[one] == made.splits[other]
    assert report.split == "clips that look alike, so that none is on two sides"
    assert any("2 of 12 clips look nearly like another: " in note for note in report.notes)
    assert len((tmp_path / "out" / "near-duplicates.csv").read_text().splitlines()) == 2
    record = json.loads((tmp_path / "out" / "init.json").read_text())
    assert record["near_duplicates"] == {
        "clips": 2,
        "copies": 0,
        "groups": 1,
        "largest": 2,
        "pairs": 1,
    }


def test_near_duplicates_on_two_sides_of_a_given_split_are_said(tmp_path, source):
    rows = [f"hop/{n},hop,train" for n in range(6)] + ["run/6,run,train", "run/mirrored,run,val"]
    (source / "l.csv").write_text("\n".join(["path,label,split", *rows, ""]))
    report = init_dataset(source / "l.csv", tmp_path / "out", num_workers=0)
    said = "1 of 1 val clip nearly like one to train on, as hop/0 ~ run/mirrored"
    assert any(said in note.replace(f"{source}/", "") for note in report.notes)
    assert report.manifest.groups is None
    quiet = SplitRule(near_duplicates=False)
    report = init_dataset(source / "l.csv", tmp_path / "b", num_workers=0, rule=quiet)
    assert not any("near" in note for note in report.notes)


def test_copies_with_another_label_are_said_and_a_group_of_all_is_not_kept(tmp_path, video):
    for name in ("hop/a.mp4", "hop/b.mp4", "run/c.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, tmp_path / "in" / name)
    report = init_dataset(tmp_path / "in", tmp_path / "out", num_workers=0)
    assert report.split.startswith("class")
    assert report.near.facts["copies"] == 2
    assert any(note.startswith("1 copy with another label than") for note in report.notes)
    assert any("one group would have 3 of 3 clips" in note for note in report.notes)


def test_where_likeness_would_join_most_clips_only_files_of_the_same_bytes_stay_together() -> None:
    pairs = np.array([[0, 1], [1, 2], [2, 3], [4, 5]])
    near = LookAlikes(Relatives(pairs, np.zeros(6, int), pairs[:1]), list("abcdef"), list("xxxyyy"))
    groups, done = near.kept_together(None)
    assert list(groups.values) == list("aacdef")
    assert done.startswith("those copies stay together, as one group would have 4 of 6 clips")
    large = Groups("person", list("qqqqqr"))  # no fault of what looks alike
    groups, done = near.kept_together(large)
    assert "".join(groups.values) == "qqqqqr"
    assert list(near.notes(np.zeros(6, int), np.array([0, 0, 0, 1, 1, 1]), done))[-1] == (
        "2 of 6 clips look nearly like one in another fold, as c ~ d: results will be too good"
    )


def test_parts_of_one_file_are_named_by_their_spans() -> None:
    pairs, copies = np.array([[0, 1]]), np.zeros((0, 2), int)
    spans = [Span(0, 1.5), Span(1.5, 3)]
    near = LookAlikes(Relatives(pairs, np.zeros(1, int), copies), ["a.mp4"] * 2, ["x"] * 2, spans)
    assert near.pairs == [("a.mp4 [0, 1.5) seconds", "a.mp4 [1.5, 3) seconds")]
    (note,) = near.notes(np.zeros(2, int), None, "")
    assert "a.mp4 [0, 1.5) seconds ~ a.mp4 [1.5, 3) seconds" in note


@pytest.mark.parametrize("given", ["column", "pattern"])
def test_groups_that_a_person_gives_stay_and_near_duplicates_in_two_of_them_are_said(
    tmp_path, source, given
):
    rows = [f"hop/{n},hop,s{n // 2}" for n in range(6)] + ["run/6,run,s3", "run/mirrored,run,s3"]
    (source / "l.csv").write_text("\n".join(["path,label,speaker", *rows, ""]))
    rule = SplitRule(group_by=r"(\w)$" if given == "pattern" else None, folds=2)
    report = init_dataset(source / "l.csv", tmp_path / "out", num_workers=0, rule=rule)
    expected = set("0123456d") if given == "pattern" else {"s0", "s1", "s2", "s3"}
    assert set(report.manifest.groups.to_pylist()) == expected
    said = "1 of 1 pair in two groups of"
    assert any(said in note and "which stay as given" in note for note in report.notes)


def test_the_group_is_what_a_pattern_takes_from_names(tmp_path):
    rows = [f"{label}/p{p}_{n}.mp4,{label}" for label in "ab" for p in range(3) for n in range(2)]
    (tmp_path / "l.csv").write_text("\n".join(["path,label", *rows, ""]))
    rule = SplitRule(group_by="{group}_*")
    report = init_dataset(tmp_path / "l.csv", tmp_path / "out", probe=False, rule=rule)
    assert set(report.manifest.groups.to_pylist()) == {"p0", "p1", "p2"}
    record = json.loads((tmp_path / "out" / "init.json").read_text())
    assert "--group-by '{group}_*'" in record["command"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"p\d", r"has 0 groups in brackets, expected one"),
        (r"(p\d)_(\d)", r"has 2 groups in brackets"),
        (r"(p\d", r"is no pattern: missing \)"),
        (r"^(q\d)", r"fits 1 of 2 paths, not 'p1_b\.mp4'"),
        ("q{group}_*", r"fits 1 of 2 paths, not 'p1_b\.mp4'"),
        (r"(q?)", r"fits 1 of 2 paths, not 'p1_b\.mp4'"),
        (r"(\d)_", r"takes '1' from all 2 paths, one group"),
        ("{group}*", r"does not say where the group ends"),
        ("{group}_{group}", r"does not say where the group ends.*\{group\} once"),
    ],
)
def test_patterns_that_take_no_group_from_a_path_are_refused(pattern, message):
    with pytest.raises(ManifestError, match=message):
        groups_by_pattern(["q1_a.mp4", "p1_b.mp4"], pattern)


@pytest.mark.parametrize(
    ("groups", "options", "sides"),
    [
        (120, {}, {"train", "val", "test"}),
        (60, {}, {"train", "val"}),
        (120, {"val": 0.3}, {"train", "val"}),
        (120, {"test": 0.0}, {"train", "val"}),
        (60, {"val": 1.0}, {"val"}),
    ],
)
def test_some_are_held_out_for_a_test_where_there_are_groups_enough(
    tmp_path, groups, options, sides
):
    rows = [f"p{n % groups}/{n}.mp4,{n % 2},p{n % groups}" for n in range(3 * groups)]
    (tmp_path / "l.csv").write_text("\n".join(["path,label,person", *rows, ""]))
    rule = SplitRule(**options)
    report = init_dataset(tmp_path / "l.csv", tmp_path / "out", probe=False, rule=rule)
    assert set(report.manifest.split_counts()) == sides
    few = any("groups, too few to hold some out for a test" in note for note in report.notes)
    assert few == (groups == 60 and not options)


def test_a_check_says_which_clips_to_test_look_like_one_to_train_on(
    tmp_path: Path, source: Path
) -> None:
    manifest = tmp_path / "m.csv"
    rows = [f"{source}/hop/{n},train" for n in range(3)]
    rows += [f"{source}/run/6,test", f"{source}/run/mirrored,test"]
    manifest.write_text("\n".join(["path,split", *rows]) + "\n")
    words = ["data", "check", str(manifest), "-j", "0"]
    plain = CliRunner().invoke(app, words)
    assert "look nearly like" not in plain.output
    said = CliRunner().invoke(app, [*words, "--near-duplicates"]).output
    assert "1 of 2 test clips nearly like one to train on" in said
    listed = (tmp_path / "near-duplicates.csv").read_text().splitlines()
    assert listed == ["path,other", f"{source}/hop/0,{source}/run/mirrored"]
    manifest.write_text("\n".join(["path,split", *rows[:-1]]) + "\n")
    said = CliRunner().invoke(app, [*words, "--near-duplicates"]).output
    assert "no two of 4 clips look nearly alike" in said
    assert not (tmp_path / "near-duplicates.csv").exists()
