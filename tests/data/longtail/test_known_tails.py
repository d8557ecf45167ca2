"""How long-tailed the known data sets are, counted in their annotation files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.checks.stats import ClassCounts, Stats, long_tail_lines, stats
from marey.data.manifest.read import read_manifest
from marey.metrics.groups import profile, release_groups, videolt_groups


@pytest.fixture
def annotations(shared_dir: Path) -> Path:
    return shared_dir / "data" / "annotations"


def described(folder: Path, header: str, rows: list[str], **names: list[str]) -> Stats:
    """What marey finds in a manifest of these rows; `names` are class names by head."""
    (folder / "m.csv").write_text("\n".join([header, *rows]) + "\n")
    for head, classes in names.items():
        file = folder / ("labels.txt" if head == "label" else f"labels.{head}.txt")
        file.write_text("\n".join(classes) + "\n")
    return stats(read_manifest(folder / "m.csv"), sample=0)


def epic(folder: Path, annotations: Path) -> Stats:
    with (annotations / "epic100_rulstm" / "training.csv").open() as file:
        rows = [f"{uid},{verb},{noun}" for uid, _, _, _, verb, noun, _ in csv.reader(file)]
    names = {}
    for head in ("verb", "noun"):
        with (annotations / "epic100" / f"EPIC_100_{head}_classes.csv").open() as file:
            names[head] = [row["key"] for row in csv.DictReader(file)]
    return described(folder, "path,verb,noun", rows, **names)


def facts(counts: ClassCounts) -> tuple[int, int, float, float, float]:
    """Classes, clips, H and F with two digits, imbalance with one."""
    found = profile(counts.training)
    return (
        found.num_classes,
        found.num_clips,
        round(found.head_percent, 2),
        round(found.few_percent, 2),
        round(found.imbalance, 1),
    )


def test_epic_kitchens_100(tmp_path: Path, annotations: Path) -> None:
    heads = epic(tmp_path, annotations).heads
    assert facts(heads["verb"]) == (97, 67_217, 3.09, 18.56, 14_848)
    assert facts(heads["noun"]) == (300, 67_217, 7.0, 33.0, 1808.5)
    assert [line for _, line in long_tail_lines(heads["verb"])] == [
        "H 3.1 %, F 18.6 %, imbalance 14,848.0",
        "head 3 classes, 34,000 clips; tail 76 classes, 33,067 clips; few 18 classes, 150 clips",
        "head 19 classes, 60,392 clips; tail 60 classes, 6,675 clips; few 17 classes, 149 clips",
    ]
    nouns = release_groups(heads["noun"].training)
    assert [len(classes) for _, classes in nouns] == [97, 111, 97]
    assert nouns.rule.startswith("release: EPIC's nouns as listed")


def test_something_something_v2_is_hardly_long_tailed(tmp_path: Path, annotations: Path) -> None:
    lists = annotations / "uniformer_sthv2"
    lines = (lists / "somesomev2_rgb_train_split.txt").read_text().splitlines()
    rows = [f"{name},{label}" for name, _, label in map(str.split, lines)]
    names = (lists / "category.txt").read_text().splitlines()
    found = described(tmp_path, "path,label", rows, label=names)
    assert facts(found.heads["label"]) == (174, 168_913, 26.44, 0, 36.1)


def test_ssv2_lt(goldens_dir: Path) -> None:
    golden = json.loads((goldens_dir / "lmr" / "epic_groups.json").read_text())
    clips = np.array(golden["ssv2_lt_train_counts"])
    counts = ClassCounts(tuple(map(str, range(174))), {"train": clips})
    assert facts(counts) == (174, 50_418, 8.05, 32.76, 500)
    groups = release_groups(clips)
    assert [len(classes) for _, classes in groups] == [14, 103, 56]
    assert groups.rule.startswith("release: SSv2-LT, head holds at most 50%")


def test_videolt(tmp_path: Path, annotations: Path) -> None:
    lines = (annotations / "videolt" / "train.lst").read_text().splitlines()
    rows = [line.replace(",", "|").replace(" ", ",") for line in lines]
    listed = (annotations / "videolt" / "count-labels-train.lst").read_text().splitlines()
    names = [line.rsplit(" ", 2) for line in listed]
    found = described(tmp_path, "path,label", rows, label=[name for name, _, _ in names])
    counts = found.heads["label"].training
    assert counts.tolist() == [int(float(count)) for _, _, count in names]
    assert found.num_clips == 179_334
    assert (counts.max(), counts.min()) == (1912, 44)
    assert facts(found.heads["label"]) == (1004, 196_798, 22.81, 0, 43.5)
    assert [len(classes) for _, classes in videolt_groups(counts)] == [47, 617, 340]


def test_the_command_shows_the_profile(tmp_path: Path) -> None:
    rows = [f"{i}.mp4,{label}" for i, label in enumerate(np.repeat([0, 1, 2], [70, 30, 5]))]
    described(tmp_path, "path,label", rows)
    done = CliRunner().invoke(app, ["data", "stats", str(tmp_path / "m.csv"), "--sample", "0"])
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.replace("│", " ").split())
    assert "H 33.3 %, F 33.3 %, imbalance 14.0" in text
    assert "groups (release)" in text


def test_a_balanced_set_has_no_long_tail_to_tell_of() -> None:
    for nearly_even in ([5, 5], [8, 9], [0, 0]):
        assert long_tail_lines(ClassCounts(("a", "b"), {"train": np.array(nearly_even)})) == []


def test_only_training_clips_count() -> None:
    clips = {"train": np.array([50, 25]), "val": np.array([1, 900])}
    assert ClassCounts(("a", "b"), clips).training.tolist() == [50, 25]
