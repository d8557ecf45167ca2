"""The parts of report and comparison that tell frequent from rare classes."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.inference.measures import TrainingCounts, head_estimates
from marey.engine.report.charts.charts import Point, Spread, intervals, scatters
from marey.engine.report.compare import read_comparison
from marey.engine.report.gains import Pairs, gains, pair
from marey.engine.report.mistakes import between_groups, most_confused
from marey.engine.report.report import write_report
from marey.engine.report.run_files import read_run
from marey.engine.results_file import read_results
from marey.metrics.groups import Groups
from marey.metrics.intervals import Estimate
from tests.engine.report.test_report import words
from tests.fake_run import write_run

CLIPS = [400, 90, 60, 30, 15, 4]
CLASSES = tuple("abcdef")
LABELS = np.repeat(np.arange(6), 4)
TAKEN = np.array([0, 0, 0, 0, 1, 1, 1, 0, 2, 2, 0, 0, 3, 3, 3, 3, 4, 0, 0, 0, 5, 0, 1, 4])
BETTER = np.where(np.arange(24) == 17, 4, TAKEN)


def tailed_run(
    folder: Path,
    *,
    logits: np.ndarray,
    name: str = "",
    labels: np.ndarray = LABELS,
    classes: tuple[str, ...] = CLASSES,
    clips: list[int] = CLIPS,
) -> Path:
    """A run that knows how many training clips each class has."""
    run = write_run(
        folder, name=name, labels=labels.tolist(), logits=logits.tolist(), classes=classes
    )
    (run / "class_counts.json").write_text(json.dumps({"label": clips}))
    path = run / "results" / "val" / "results.json"
    counts = TrainingCounts({"label": np.array(clips)})
    found = head_estimates(logits.astype(np.float32), labels, counts.groups("label"))
    facts = replace(
        read_results(path),
        groups={"label": counts.class_groups("label")},
        estimates={"label": found},
    )
    facts.write(path.parent)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tailed_run(tmp_path / "ce", logits=5.0 * np.eye(6)[TAKEN], name="ce")


@pytest.fixture
def better(tmp_path: Path, run: Path) -> Path:
    return tailed_run(tmp_path / "lmr", logits=5.0 * np.eye(6)[BETTER], name="lmr")


def cells(page: Path) -> list[list[str]]:
    tree = ElementTree.fromstring(page.read_text(encoding="utf-8"))
    return [[cell.text or "" for cell in row] for row in tree.iter("tr")]


def test_the_report_gives_every_group_with_its_interval_and_what_it_rests_on(run: Path) -> None:
    rows = {row[0]: row[1:] for row in cells(write_report(run)) if len(row) == 5}
    assert rows["head classes"] == ["100.0 %", "51.0 to 100.0", "1 of 1", "4"]
    assert rows["few-shot classes"][0] == "25.0 %"
    assert rows["few-shot classes"][2:] == ["2 of 2", "8"]
    page = words(write_report(run))
    assert "The rule 'paper': head is the classes that hold closest to 50 % of the data" in page
    assert "Of 6 classes there are: head 1 (16.7 %), tail 3 (50.0 %), few-shot 2 (33.3 %)" in page
    assert "100.0 times the training clips of the smallest" in page


def test_the_report_says_what_rare_classes_are_taken_for(run: Path) -> None:
    rows = cells(write_report(run))
    assert ["few-shot", "8", "25.0 %", "50.0 %", "12.5 %", "12.5 %"] in rows
    assert ["e", "a", "3", "75.0 %"] in rows
    assert ["f", "a", "1", "25.0 %"] in rows


def test_class_sizes_are_those_the_run_has_counted(run: Path) -> None:
    assert "f: 25.0 % right, 4 training clips" in words(write_report(run))


def test_a_run_that_knows_no_groups_has_no_such_part(tmp_path: Path) -> None:
    page = words(write_report(write_run(tmp_path / "run")))
    assert "Frequent and rare classes" not in page


def test_where_one_group_has_all_classes_there_are_no_groups(run: Path) -> None:
    """As of seven and six clips of every class, which are all few-shot."""
    path = run / "results" / "val" / "results.json"
    facts = read_results(path)
    groups = {"head": [], "tail": [], "few": [0, 1, 2, 3, 4, 5]}
    known = replace(facts.groups["label"], classes=groups)
    replace(facts, groups={"label": known}).write(path.parent)
    page = words(write_report(run))
    assert "few-shot" not in page
    assert "Frequent and rare classes" not in page
    assert "class average" in page
    assert read_comparison([run, run]).groups == []


def test_a_comparison_has_accuracy_by_frequency_and_gains_with_intervals(
    run: Path, better: Path, tmp_path: Path
) -> None:
    comparison = read_comparison([run, better])
    out = comparison.write(tmp_path / "c.html")
    page, rows = words(out), cells(out)
    assert "f: 25.0 % right, 4 training clips" in page
    assert "Gains over ce" in page
    assert "Clips are matched: lmr by their paths." in page
    gain = next(row for row in rows if row[:2] == ["lmr", "few-shot classes"])
    assert gain[2] == "+12.5"
    low, high = map(float, gain[3].split(" to "))
    assert low < 0 < 12.5 < high
    assert gain[4:] == ["8", "–", "–"]
    head = next(row for row in rows if row[:2] == ["lmr", "head classes"])
    assert head[2:4] == ["+0.0", "-46.2 to +46.2"]
    top1 = next(row for row in rows if row[:2] == ["lmr", "top-1"])
    assert top1[4:] == ["24", "0 : 1", "0.500"]


def test_the_command_prints_the_groups_of_all_runs(run: Path, better: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["compare", str(run), str(better), "--out", str(tmp_path / "c.html")]
    )
    assert done.exit_code == 0, done.output
    lines = [line.split("│") for line in done.output.splitlines()]
    few = [line[-2].strip() for line in lines if len(line) > 2][-2:]
    assert few[0].startswith("25.0 (")
    assert few[1].startswith("37.5 (")
    assert "groups of label by paper" in done.output
    assert max(len(line) for line in done.output.splitlines() if line[0] in "│┃└┏") <= 80


def test_groups_by_another_rule_are_left_out_of_the_table(run: Path, better: Path) -> None:
    path = better / "results" / "val" / "results.json"
    facts = json.loads(path.read_text())
    facts["groups"]["label"]["rule"] = "release: another"
    path.write_text(json.dumps(facts))
    (found,) = read_comparison([run, better]).groups
    assert "–" not in found.rows[0]
    assert found.rows[1][1].startswith("66.7 (")
    assert found.rows[1][2:] == ("–", "–", "–")


def test_the_tables_never_cut_off_which_run_a_row_is_of(run: Path, tmp_path: Path) -> None:
    folders = [shutil.copytree(run, tmp_path / f"a-folder-of-a-long-name-seed-{i}") for i in (1, 2)]
    words = ["compare", *map(str, folders), "--out", str(tmp_path / "c.html")]
    done = CliRunner().invoke(app, words)
    named = "".join(line.split("│")[1].strip() for line in done.output.splitlines() if "│" in line)
    assert re.fullmatch("(a-folder-of-a-long-name-seed-[12])+", named)


def test_a_gain_is_that_of_the_clips_both_runs_read(run: Path, better: Path) -> None:
    first, second = read_run(run).result, read_run(better).result
    groups = {"label": first.facts.groups["label"].groups}
    found = {gain.key: gain for gain in gains(first, second, pair(first, second), groups)}
    assert found["acc/class_avg"].points.value == pytest.approx(100 / 24)
    same = gains(first, first, pair(first, first), groups)
    assert {gain.points.value for gain in same} == {0}
    assert all(gain.points.low < 0 < gain.points.high for gain in same)
    assert gains(first, second, Pairs(), groups) == []


def test_a_group_that_nothing_tests_is_a_dash_on_both_pages(run: Path, tmp_path: Path) -> None:
    path = run / "results" / "val" / "results.json"
    facts = read_results(path)
    empty = {"acc/few": Estimate(math.nan, math.nan, math.nan, 0, 0)}
    replace(facts, estimates={"label": facts.estimates["label"] | empty}).write(path.parent)
    assert ["few-shot classes", "–", "–", "0 of 2", "0"] in cells(write_report(run))
    (row,) = read_comparison([run]).groups[0].rows
    assert row[-1] == "–"


def test_runs_whose_rare_classes_are_others_are_marked(run: Path, better: Path) -> None:
    assert not any("frequent" in warning for warning in read_comparison([run, better]).warnings)
    path = better / "results" / "val" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"groups": {}}))
    assert any(
        w.startswith("Which classes are frequent and rare of lmr is not that of ce")
        for w in read_comparison([run, better]).warnings
    )


def test_confusions_between_groups_count_every_clip_once() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (6, 6))
    groups = Groups(np.array([2]), np.array([0, 3]), np.array([1, 4, 5]), "")
    found = between_groups(counts, groups)
    assert found.sum() == counts.sum()
    assert found[:, 0].tolist() == [np.diag(counts)[c].sum() for _, c in groups]


def test_confusions_may_be_asked_of_some_classes_with_others() -> None:
    counts = np.array([[5, 4, 3], [9, 5, 8], [2, 7, 1]])
    found = most_confused(counts, tuple("abc"), 9, true=np.array([2]), predicted=np.array([0]))
    assert [(c.true, c.predicted, c.count, c.share) for c in found] == [("c", "a", 2, 0.2)]


def test_a_chart_of_several_series_has_their_marks_and_a_line_each() -> None:
    points = [Point(float(x), float(x % 50), f"p{x}") for x in range(1, 101)]
    drawing = ElementTree.fromstring(
        scatters({"a": points, "b": points[:3]}, title="t", x_label="x")
    )
    assert sum(e.text.startswith("p") for e in drawing.iter("title")) == 103
    assert len(list(drawing.iter("polyline"))) == 2
    assert "no values" in scatters({"a": []}, title="t", x_label="x")


def test_intervals_are_marked_by_whether_they_hold_zero() -> None:
    chart = intervals(
        [
            Spread("up", 3, 1, 5),
            Spread("none", 1, -1, 3),
            Spread("down", -3, -5, -1),
            Spread("unknown", float("nan"), 0, 0),
        ],
        title="t",
    )
    fills = [e.get("fill") for e in ElementTree.fromstring(chart).iter("circle")]
    assert fills == ["var(--good)", "var(--soft)", "var(--bad)"]
