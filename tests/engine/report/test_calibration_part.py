"""What a report says of calibration is what its clips show, and a temperature is no cure-all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from marey.engine.report.numbers import report_numbers
from marey.engine.report.report import write_report
from marey.engine.weights.calibration import Calibration, write_calibration
from tests.engine.report.test_report import words
from tests.fake_run import write_run

PROPOSED = "To use it: this evaluation once more with --calibrate"
NOT_PROPOSED = "So none is proposed."


def sampled_run(folder: Path, times: float, num_clips: int = 400) -> Path:
    """A run whose logits are those that its labels were drawn by, `times` as large."""
    rng = np.random.default_rng(1)
    logits = 1.5 * rng.normal(size=(num_clips, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = [int(rng.choice(3, p=p)) for p in shares]
    return write_run(folder, labels=labels, logits=(times * logits).tolist())


def change_facts(run: Path, name: str = "val", **facts: object) -> None:
    path = run / "results" / name / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def calibration(after: tuple[float, float], before: tuple[float, float] = (9.0, 0.5)) -> object:
    """What results.json says of a temperature, of the calibration error and log-likelihood."""
    (ece_before, nll_before), (ece_after, nll_after) = before, after
    return {
        "label": {
            "temperature": 0.43,
            "measured_on": "18 clips of split val",
            "nll_before": nll_before,
            "nll_after": nll_after,
            "ece_before": ece_before,
            "ece_after": ece_after,
        }
    }


def test_a_temperature_that_helps_is_proposed_with_what_it_was_measured_by(tmp_path: Path) -> None:
    run = sampled_run(tmp_path / "run", 4.0)
    page = words(write_report(run))
    scaling = report_numbers(run)["heads"]["label"]["temperature_scaling"]
    assert 3 < scaling.temperature < 5
    assert scaling.ece_after < scaling.ece_before
    assert f"For these clips {scaling.temperature:.2f} is best" in page
    assert (
        "measured by halves of them, each with the temperature that is best for the other half: "
        f"the calibration error goes from {scaling.ece_before:.1f} to {scaling.ece_after:.1f} %"
    ) in page
    assert f"Both are better. {PROPOSED}" in page


def test_one_that_does_not_help_is_not_proposed(tmp_path: Path) -> None:
    run = sampled_run(tmp_path / "run", 1.0)
    page = words(write_report(run))
    scaling = report_numbers(run)["heads"]["label"]["temperature_scaling"]
    assert scaling.nll_after > scaling.nll_before
    assert f"is better. {NOT_PROPOSED}" in page
    assert "--calibrate" not in page


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (
            (3.0, 0.4),
            "from 0.500 to 0.400. Both are better.",
        ),
        ((9.04, 0.5001), "Neither is better: the scores are better without it."),
        ((12.0, 0.7), "Neither is better: the scores are better without it."),
        ((12.0, 0.4), "Only the log-likelihood is better."),
        ((3.0, 0.7), "Only the calibration error is better."),
    ],
)
def test_of_scores_that_are_calibrated_it_says_what_that_changed(
    tmp_path: Path, after: tuple[float, float], said: str
) -> None:
    run = sampled_run(tmp_path / "run", 4.0, 40)
    change_facts(run, calibration=calibration(after))
    page = words(write_report(run))
    assert "a temperature of 0.43, measured on 18 clips of split val" in page
    assert f"On these clips the calibration error goes from 9.0 to {after[0]:.1f} %" in page
    assert said in page
    assert "--calibrate" not in page


def test_one_that_made_other_clips_worse_is_not_proposed(tmp_path: Path) -> None:
    run = sampled_run(tmp_path / "run", 4.0)
    shutil.copytree(run / "results" / "val", run / "results" / "test")
    for after, proposed in (((12.0, 0.7), False), ((3.0, 0.4), True)):
        change_facts(run, "test", split="test", calibration=calibration(after))
        page = words(write_report(run))
        assert "In results/test the calibration error goes from 9.0" in page
        assert (PROPOSED in page, NOT_PROPOSED in page) == (proposed, not proposed)


def test_one_that_is_kept_already_is_not_to_be_measured_again(tmp_path: Path) -> None:
    run = sampled_run(tmp_path / "run", 4.0)
    kept = Calibration(temperatures={"label": 3.9}, split="val", num_clips=400)
    write_calibration(kept, run)
    page = words(write_report(run))
    assert "has: temperature 3.90, measured on 400 clips of split val" in page
    assert PROPOSED not in page


def test_what_has_no_one_model_is_not_told_to_be_calibrated(tmp_path: Path) -> None:
    run = sampled_run(tmp_path / "run", 4.0)
    each = [{"name": f"fold-{i}", "num_clips": 200, "metrics": {}} for i in range(2)]
    change_facts(run, repeats={"kind": "folds", "runs": each, "spread": {}})
    page = words(write_report(run))
    assert "2 models, each with a temperature of its own: marey eval RUN/fold-0 --calibrate" in page
    change_facts(run, repeats=None, members=[{"name": "a"}, {"name": "b"}])
    assert "an ensemble is not calibrated" in words(write_report(run))


@pytest.mark.parametrize("facts", [{"role": "training"}, {"split": "train"}])
def test_of_training_clips_none_is_measured(tmp_path: Path, facts: dict[str, str]) -> None:
    run = sampled_run(tmp_path / "run", 4.0)
    change_facts(run, **facts)
    page = words(write_report(run, results="val"))
    assert "learned from these clips and is surer of them than of others" in page
    assert "is best" not in page


def test_of_clips_that_are_all_right_no_temperature_is_best(tmp_path: Path) -> None:
    labels = [i % 3 for i in range(30)]
    run = write_run(tmp_path / "run", labels=labels, logits=(4 * np.eye(3)[labels]).tolist())
    assert "No temperature from 0.05 to 20 suits these clips best" in words(write_report(run))


def test_it_is_surer_than_right_where_the_clips_show_it(tmp_path: Path) -> None:
    said = {
        times: words(write_report(sampled_run(tmp_path / f"run-{times}", times)))
        for times in (0.25, 1.0, 4.0)
    }
    assert "it is less sure than right, by " in said[0.25]
    assert "these clips do not show that it is more or less sure than right" in said[1.0]
    assert "it is surer than right, by " in said[4.0]
