"""Results know which classes had few training clips, and what their numbers rest on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import Evaluation, evaluate
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.predictions import labels_of_column, prediction_table
from marey.engine.inference.stored import read_stored
from marey.engine.train.loop import train
from marey.engine.weights.class_counts import read_class_counts, write_class_counts
from marey.errors import CheckpointError
from marey.models.video_model import Head
from tests.tiny import CLASSES, tiny_recipe, write_set


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on 3, 2, 1 and 1 clips of the classes."""
    folder = tmp_path_factory.mktemp("groups")
    manifest = write_set(folder / "clips", per_class=3)
    lines = manifest.read_text().splitlines()
    gone = ("red_2", "green_1", "green_2", "blue_1", "blue_2")
    manifest.write_text("\n".join(line for line in lines if not line.startswith(gone)) + "\n")
    return train(tiny_recipe(manifest, epochs=1, batch_size=2), folder / "run", quiet=True)


def manifest_of(run: Path) -> Path:
    return run.parent / "clips" / "manifest.csv"


def made(labels: np.ndarray, scores: np.ndarray, counts: list[int]) -> Evaluation:
    """An evaluation with these scores, of clips that are not there."""
    paths = pa.chunked_array(
        [pa.array([f"{i}.mp4" for i in range(len(labels))], pa.large_string())]
    )
    names = tuple(f"class {i}" for i in range(scores.shape[1]))
    manifest = Manifest.from_columns(
        Path("a.csv"), Path(), {"path": paths, "label": labels}, {"label": names}
    )
    counted = TrainingCounts({"label": np.array(counts)}, "paper")
    return Evaluation(manifest, {"label": scores.astype(np.float32)}, trained_on=counted)


def test_a_run_counts_its_training_clips(run: Path) -> None:
    assert json.loads((run / "class_counts.json").read_text()) == {"label": [3, 2, 1, 1]}


def test_results_say_the_rule_the_profile_and_what_every_number_rests_on(
    run: Path, tmp_path: Path
) -> None:
    _, path = evaluate_folder(EvalOptions(folder=run, workers=0, device="cpu"), tmp_path)
    facts = json.loads(path.read_text())
    groups = facts["groups"]["label"]
    assert groups["rule"].startswith("paper: head is the classes that hold closest to 50 %")
    assert groups["train"]["num_clips"] == 7
    assert groups["train"]["imbalance"] == 3
    assert groups["classes"] == {"head": [], "tail": [], "few": [0, 1, 2, 3]}
    estimate = facts["estimates"]["label"]["acc/few"]
    assert (estimate["num_classes"], estimate["num_clips"]) == (4, 8)
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert facts["metrics"]["acc/few"] == facts["metrics"]["acc/class_avg"] == estimate["value"]
    assert facts["metrics"]["acc/head"] is None
    assert facts["estimates"]["label"]["acc/head"]["num_clips"] == 0


def test_the_command_prints_intervals_and_the_rule(run: Path, tmp_path: Path) -> None:
    words = ["eval", str(run), "--out", str(tmp_path), "-j", "0", "--groups", "release"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "95 % interval" in done.output
    assert "acc/few" in done.output
    assert "nan" not in done.output
    assert "groups of label by release: head holds at most 90% of the data" in done.output


def test_why_there_are_no_groups_is_said(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, uncounted := tmp_path / "uncounted")
    (uncounted / "class_counts.json").unlink()
    words = ["eval", str(uncounted), "--out", str(tmp_path / "out"), "-j", "0"]
    done = CliRunner().invoke(app, words)
    said = " ".join(done.output.split())
    assert "no head, tail and few of label: how many clips its classes were trained on" in said
    assert "--train-manifest counts them" in said


def test_training_clips_can_be_counted_in_another_manifest(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "train.csv"
    rows = [
        f"{i}.mp4,{c}" for c, n in enumerate((40, 30, 25, 2)) for i in range(100 * c, 100 * c + n)
    ]
    other.write_text("\n".join(["path,label", *rows]) + "\n")
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES) + "\n")
    result, _ = evaluate_folder(
        EvalOptions(folder=run, workers=0, device="cpu"), tmp_path / "out", train_manifest=other
    )
    found = {name: e.num_classes for name, e in result.named_estimates.items()}
    assert found == {"acc/top1": 4, "acc/class_avg": 4, "acc/head": 1, "acc/tail": 2, "acc/few": 1}


def test_a_set_with_as_many_clips_of_each_class_has_no_groups() -> None:
    result = made(np.array([0, 1]), np.eye(2), [7, 7])
    assert result.trained_on.class_groups("label") is None
    assert set(result.metrics) == {"acc/top1", "acc/class_avg", "loss"}


def test_a_folder_without_counts_has_no_groups(tmp_path: Path) -> None:
    assert read_class_counts(tmp_path, {"label": 4}) == {}


def test_counts_of_one_head_of_two_are_those_of_one(tmp_path: Path) -> None:
    write_class_counts({"verb": np.array([1, 2])}, tmp_path)
    (counts,) = read_class_counts(tmp_path, {"verb": 2, "noun": 3}).items()
    assert (counts[0], counts[1].tolist()) == ("verb", [1, 2])


def test_counts_of_other_classes_are_refused(tmp_path: Path) -> None:
    write_class_counts({"label": np.array([1, 2])}, tmp_path)
    with pytest.raises(CheckpointError, match="'label' is not one number for each of 4 classes"):
        read_class_counts(tmp_path, {"label": 4})
    (tmp_path / "class_counts.json").write_text("{}")
    with pytest.raises(CheckpointError, match="'label' is not one number for each of 4 classes"):
        read_class_counts(tmp_path, {"label": 4})


# --- clips of several classes -------------------------------------------------------------------

SEVERAL = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
LOGITS = np.array([[3.0, 2.0, -1.0], [1.0, 4.0, -2.0], [0.0, 5.0, 2.0]])


def test_clips_of_several_classes_have_average_precisions_a_group() -> None:
    metrics = made(SEVERAL, LOGITS, [100, 50, 3]).metrics
    assert metrics["mAP/head"] == metrics["mAP/few"] == 100
    assert metrics["mAP/tail"] == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)
    assert metrics["mAP"] == pytest.approx((200 + metrics["mAP/tail"]) / 3)
    assert metrics["hit@1"] == pytest.approx(200 / 3)
    assert 0 < metrics["loss"] < 1.5


def test_a_dump_of_clips_of_several_classes_gives_the_same_numbers(tmp_path: Path) -> None:
    result = made(SEVERAL, LOGITS, [5, 5, 5])
    table = prediction_table(result.manifest, result.scores, result.readable_rows)
    assert labels_of_column(table["label"], 3).tolist() == SEVERAL.tolist()
    pa.parquet.write_table(table, tmp_path / "p.parquet")
    assert read_stored(tmp_path / "p.parquet").evaluation.metrics == pytest.approx(result.metrics)


def test_probabilities_of_several_classes_are_those_of_each_alone(run: Path) -> None:
    recipe, found = tiny_recipe(manifest_of(run)), read_manifest(manifest_of(run), split="val")
    several = found.with_columns({"label": np.eye(4, dtype=bool)[found.labels["label"]]})
    probs = replace(recipe, test=replace(recipe.test, average="probs"))
    torch.manual_seed(0)
    model = replace(recipe.model, heads=(Head("label", 4, several=True),)).build().eval()
    logits, shares = (evaluate(model, several, by, workers=0) for by in (recipe, probs))
    expected = torch.from_numpy(logits.scores["label"]).sigmoid().numpy()  # of one view
    np.testing.assert_allclose(shares.scores["label"], expected, atol=1e-6)
    np.testing.assert_allclose(shares.probabilities["label"], expected, atol=1e-6)
    assert shares.metrics == pytest.approx(logits.metrics, rel=1e-5)
