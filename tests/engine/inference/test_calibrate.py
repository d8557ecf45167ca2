"""A temperature is measured on some clips, and applied to others where that is asked for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import marey
from marey.cli.app import app
from marey.data.manifest.manifest import Manifest
from marey.engine.inference.calibrate import changes, measured
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.evaluate_run import evaluate_model
from marey.engine.report.report import write_report
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.engine.weights.calibration import FILE, Calibration
from marey.engine.weights.trained import export_release
from marey.errors import CheckpointError, ManifestError, RecipeError, RunError
from tests.tiny import CLASSES, tiny_recipe, write_set


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("others"), per_class=0, val_per_class=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, others: Path) -> Path:
    """A run that is right of 9 of the 12 other clips, and calibrated on them."""
    folder = tmp_path_factory.mktemp("run")
    recipe = tiny_recipe(write_set(folder / "clips"), epochs=12)
    made = train(recipe, folder / "run", quiet=True)
    says = evaluate_model(made, others, out=folder / "raw", workers=0).scores["label"].argmax(1)
    says[::4] = (says[::4] + 1) % 4
    lines = others.read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    new = [f"{c[0]},{label},{c[2]},{c[3]}" for c, label in zip(cells, says, strict=True)]
    others.write_text("\n".join([lines[0], *new]) + "\n")
    evaluate_model(made, others, calibrate=True, out=folder / "measured", workers=0)
    return made


def evaluation(logits: np.ndarray, labels: np.ndarray) -> Evaluation:
    paths = pa.array([f"{i}.mp4" for i in range(len(labels))], pa.large_string())
    columns = {"path": pa.chunked_array([paths]), "label": labels}
    names = {"label": tuple(map(str, range(logits.shape[1])))}
    manifest = Manifest.from_columns(Path("a.csv"), Path(), columns, names)
    return Evaluation(manifest, {"label": logits.astype(np.float32)})


def test_what_is_90_percent_sure_and_right_of_3_in_4_becomes_75_percent_sure() -> None:
    sure = np.log([[0.9, 0.1]] * 12)
    raw = evaluation(sure, np.array([0, 0, 0, 1] * 3))
    (temperature,) = measured(raw).values()
    assert temperature == pytest.approx(2.0, abs=0.01)  # 3 to 1 is the root of 9 to 1
    calibrated = replace(raw, scores={"label": (sure / temperature).astype(np.float32)})
    found = changes(calibrated, Calibration(temperatures={"label": temperature}))["label"]
    assert found.ece_before == pytest.approx(15, abs=0.01)
    assert found.ece_after == pytest.approx(0, abs=0.1)
    assert found.nll_after < found.nll_before


def test_no_temperature_is_measured_where_none_suits_best() -> None:
    right = evaluation(np.eye(2)[[0, 1] * 6], np.array([0, 1] * 6))
    with pytest.raises(RunError, match="12 of 12 clips are answered right"):
        measured(right)
    few = evaluation(np.eye(2), np.array([0, 1]))
    with pytest.raises(RunError, match="a temperature measured on 2 clips says nothing"):
        measured(few)


def test_a_calibrated_evaluation_divides_the_logits_and_says_so(
    run: Path, others: Path, tmp_path: Path
) -> None:
    raw = evaluate_model(run, out=tmp_path / "raw", workers=0)
    calibrated = evaluate_model(run, out=tmp_path / "new", workers=0, calibrated=True)
    facts = json.loads((run / FILE).read_text())
    temperature = facts["temperatures"]["label"]
    assert np.allclose(calibrated.scores["label"] * temperature, raw.scores["label"], atol=1e-5)
    assert calibrated.metrics["acc/top1"] == raw.metrics["acc/top1"]
    said = read_results(tmp_path / "new" / "results.json").calibration["label"]
    assert said.temperature == temperature
    assert said.measured_on == f"12 clips of {others.parent.name}, split val"
    assert said.nll_before == pytest.approx(raw.metrics["loss"], abs=1e-5)
    assert said.nll_after == pytest.approx(calibrated.metrics["loss"], abs=1e-5)
    assert not read_results(tmp_path / "raw" / "results.json").calibration
    evaluate_model(run, workers=0, calibrated=True)
    page = write_report(run).read_text()
    measured_on = f"measured on 12 clips of {others.parent.name}, split val"
    assert f"divided by a temperature of {temperature:.2f}, {measured_on}" in page
    shutil.rmtree(run / "results")


def test_predictions_are_calibrated_where_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    clip = run.parent / "clips" / "red_0.mp4"
    scores = {}
    for calibrated in (False, True):
        answers = marey.load(run, calibrated=calibrated).predict(clip, top=4)
        assert isinstance(answers, list)
        by_name = {answer["label"]: answer["score"] for answer in answers}
        scores[calibrated] = np.array([by_name[name] for name in CLASSES])
    temperature = json.loads((run / FILE).read_text())["temperatures"]["label"]
    powers = scores[False] ** (1 / temperature)
    assert np.allclose(scores[True], powers / powers.sum(), atol=1e-5)
    quiet = CliRunner().invoke(app, ["predict", "-q", str(run), str(clip), "--top", "1"])
    assert quiet.output.splitlines()[0] == str(clip)
    assert quiet.output.splitlines()[1].endswith(
        max(CLASSES, key=lambda c: scores[False][CLASSES.index(c)])
    )
    out = tmp_path / "p.jsonl"
    words = ["predict", str(run), str(clip), "--calibrated", "--all-scores", "--top", "4"]
    done = CliRunner().invoke(app, [*words, "--out", str(out)])
    assert "calibrated: temperature" in done.output
    (line,) = map(json.loads, out.read_text().splitlines())
    found = [line["scores"][name] for name in CLASSES]
    assert np.allclose(found, scores[True], atol=1e-4)


def test_the_clips_that_measured_it_are_not_reported(
    run: Path, others: Path, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match="12 of 12 clips of .* measured the temperature"):
        evaluate_model(run, others, calibrated=True, out=tmp_path)
    part = tmp_path / "part.csv"
    lines = others.read_text().splitlines()
    part.write_text("\n".join([lines[0], *(f"{others.parent}/{line}" for line in lines[1:4])]))
    with pytest.raises(ManifestError, match="3 of 3 clips of .* measured the temperature"):
        evaluate_model(run, part, calibrated=True, out=tmp_path)


def test_training_clips_measure_nothing(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="learned from 16 of these 16 clips.*of split val"):
        evaluate_model(run, split="train", calibrate=True, out=tmp_path)


def test_a_temperature_is_of_its_weights_and_views(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="in other views: test.average"):
        evaluate_model(run, calibrated=True, changes=["test.average=probs"], out=tmp_path)
    folder = tmp_path / "other"
    shutil.copytree(run, folder)
    facts = json.loads((folder / FILE).read_text()) | {"weights": "another"}
    (folder / FILE).write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match="is of other weights"):
        marey.load(folder, calibrated=True)
    (folder / FILE).unlink()
    with pytest.raises(CheckpointError, match="never calibrated.*marey eval .*--calibrate"):
        marey.load(folder, calibrated=True)


def test_a_release_has_it_too(run: Path, others: Path, tmp_path: Path) -> None:
    release = export_release(run, tmp_path / "release")
    card = (release / "README.md").read_text()
    assert "logits are divided by a temperature" in card
    assert f"measured on 12 clips of {others.parent.name}, split val" in card
    assert marey.load(release, calibrated=True).calibration
    assert not marey.load(release).calibration


def test_the_command_says_what_was_measured_on_which_clips(
    run: Path, others: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    of = f"12 clips of {others.parent.name}, split val"
    words = ["eval", str(copy), "-j", "0", "--device", "cpu"]
    said = CliRunner().invoke(app, [*words, "--manifest", str(others), "--calibrate"])
    assert f"measured on {of}; applied by --calibrated alone" in " ".join(said.output.split())
    said = " ".join(CliRunner().invoke(app, [*words, "--calibrated"]).output.split())
    assert f"measured on {of}; calibration error of the 8 clips tested here" in said


def test_an_ensemble_is_not_calibrated_and_its_members_are(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    words = ["eval", str(run), str(copy), "--device", "cpu", "-j", "0"]
    for option in ("--calibrate", "--calibrated"):
        said = CliRunner().invoke(app, [*words, option])
        assert said.exit_code == 2
        text = " ".join(said.output.replace("│", " ").split())
        assert "a temperature suits the model that it was measured on, not the mean" in text
    for each in (run, copy):
        evaluate_model(each, calibrated=True, out=tmp_path / each.name / "results" / "c", workers=0)
    dumps = [str(tmp_path / each.name / "results" / "c") for each in (run, copy)]
    out = tmp_path / "both"
    done = CliRunner().invoke(app, ["eval", *dumps, "--average", "probs", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert read_results(out / "results.json").num_clips == 8
