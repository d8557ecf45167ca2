"""Reports and comparisons of runs whose clips have several classes: what there is of numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.inference.measures import TrainingCounts, head_estimates
from marey.engine.report.class_numbers import macro_note
from marey.engine.report.compare import read_comparison
from marey.engine.report.evaluations import SeveralResult
from marey.engine.report.report import write_report
from marey.engine.results_file import read_results
from tests.engine.report.test_report import words
from tests.fake_run import write_run

CLIPS = np.array([400, 60, 4])
TARGETS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]], dtype=bool)


def several_run(folder: Path, noise: float) -> Path:
    scores = TARGETS + noise * np.random.default_rng(0).normal(size=TARGETS.shape)
    run = write_run(folder, name=folder.name, epochs=2)
    lines = (run / "metrics.csv").read_text().splitlines()
    body = [f"{line.rsplit(',', 3)[0]},,,,{50 + i}" for i, line in enumerate(lines[1:])]
    (run / "metrics.csv").write_text("\n".join([f"{lines[0]},mAP", *body]))
    labels = pa.array([np.flatnonzero(row).tolist() for row in TARGETS], pa.large_list(pa.int64()))
    predictions = run / "results" / "val" / "predictions.parquet"
    table = pa.parquet.read_table(predictions)
    place = table.column_names.index("label")
    pa.parquet.write_table(table.set_column(place, "label", labels), predictions)
    counts = TrainingCounts({"label": CLIPS})
    found = head_estimates(scores.astype(np.float32), TARGETS, counts.groups("label"))
    path = run / "results" / "val" / "results.json"
    facts = replace(
        read_results(path),
        metrics={name: e.value for name, e in found.items()} | {"hit@1": 80.0, "hit@5": 100.0},
        estimates={"label": found},
        groups={"label": counts.class_groups("label")},
    )
    facts.write(path.parent)
    return run


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [several_run(tmp_path / "plain", 2.0), several_run(tmp_path / "better", 0.0)]


def test_a_report_shows_the_precisions_and_no_ranks(runs: list[Path]) -> None:
    shown = words(write_report(runs[1]))
    assert "mAP 100.0 % 95 %: 66.8 to 100.0 hit@1 80.0 %" in shown
    assert "The rule 'paper': head is" in shown
    assert "mAP of few-shot classes 100.0 % 34.2 to 100.0 1 of 1 2" in shown
    assert "top-1" not in shown.split("Claim")[0]
    assert "no predictions" not in shown


def test_a_comparison_shows_the_precisions_of_all(runs: list[Path], tmp_path: Path) -> None:
    shown = words(read_comparison(runs).write(tmp_path / "c.html"))
    assert (
        "run mAP (%) mAP of head classes (%) mAP of tail classes (%) mAP of few-shot classes (%)"
        in shown
    )
    assert "run results mAP (%) hit@1 (%) hit@5 (%) params" in shown
    assert "better val (7 clips) 100.0 (66.8–100.0) 80.0" in shown
    assert "Validation mAP (%)" in shown
    assert "do not have the same classes" not in shown


def test_the_command_prints_them(runs: list[Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["compare", *map(str, runs), "--out", str(tmp_path / "c.html")])
    assert done.exit_code == 0, done.output
    assert "few-shot" in done.output


def test_a_class_that_all_clips_have_has_no_roc_area_and_no_warning() -> None:
    scores = np.array([[0.6, 0.2], [0.4, 0.9], [0.7, 0.1]])
    head = SeveralResult("label", ("a", "b"), np.array([[1, 0], [1, 1], [1, 0]], bool), scores)
    assert macro_note(head) == "Means over 2 classes with clips: F1 90.0 %, ROC AUC 100.0 %."
    alone = SeveralResult("label", ("a",), np.ones((3, 1), bool), scores[:, :1])
    assert macro_note(alone) == "Means over 1 class with clips: F1 100.0 %."
