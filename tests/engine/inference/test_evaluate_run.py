from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.manifest.read import read_manifest
from marey.engine.inference.class_names import with_class_names
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.stored import read_stored
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.trained import load_trained
from marey.errors import ManifestError, RecipeError, RunError
from marey.jobs.shards import Shard
from marey.storage.lock import Held, locked
from tests.tiny import CLASSES, tiny_recipe, write_set


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set") / "clips").parent


@pytest.fixture(scope="module")
def run(clips: Path) -> Path:
    recipe = tiny_recipe(clips / "manifest.csv", epochs=4)
    return train(replace(recipe, ema=0.5), clips.parent / "run", quiet=True)


def test_two_evaluations_under_one_name_are_not_made_at_once(run: Path, tmp_path: Path) -> None:
    test = EvalOptions(folder=run, workers=0, device="cpu")
    with locked(tmp_path / ".lock", "evaluates"):
        with pytest.raises(Held, match="another process evaluates into"):
            evaluate_folder(test, tmp_path)
        evaluate_folder(test, tmp_path, shard=Shard(1, 2))
    assert not (tmp_path / "results.json").exists()


def test_an_evaluation_that_is_killed_mixes_no_numbers_with_other_predictions(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    test = EvalOptions(folder=run, workers=0, device="cpu")
    evaluate_folder(test, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("marey.engine.results_file.Results.write", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate_folder(replace(test, segments=4), tmp_path)
    assert not (tmp_path / "results.json").exists()
    assert not [*tmp_path.glob(".*.draft")]
    evaluate_folder(test, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text())["num_clips"] == 8


def test_without_names_a_manifest_takes_those_of_the_model(
    run: Path, clips: Path, tmp_path: Path
) -> None:
    lines = [f"{clips}/dark_5.mp4,0", f"{clips}/red_5.mp4,1"]
    (tmp_path / "two.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    result, path = evaluate_folder(
        EvalOptions(folder=run, manifest=tmp_path / "two.csv", workers=0, device="cpu"), tmp_path
    )
    assert len(result.manifest) == 2
    assert json.loads(path.read_text())["classes"] == {"label": list(CLASSES)}


def test_words_of_a_list_without_class_names_are_those_of_the_model(
    run: Path, clips: Path, tmp_path: Path
) -> None:
    lines = [f"{clips}/dark_5.mp4;dark", f"{clips}/blue_5.mp4;blue"]
    (tmp_path / "two.csv").write_text("\n".join(["video;class", *lines]) + "\n")
    result, _ = evaluate_folder(
        EvalOptions(folder=run, manifest=tmp_path / "two.csv", workers=0, device="cpu"), tmp_path
    )
    labels = [CLASSES.index(word) for word in ("dark", "blue")]
    assert result.manifest.labels["label"].tolist() == labels
    (tmp_path / "two.csv").write_text(f"video;class\n{clips}/dark_5.mp4;black\n")
    with pytest.raises(ManifestError, match=r"two.csv:2: 'label' is .*black"):
        evaluate_folder(EvalOptions(folder=run, manifest=tmp_path / "two.csv"), tmp_path)


def test_classes_are_matched_by_name_in_another_order_and_some_of_them(
    run: Path, clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [f"{clips}/dark_5.mp4,1", f"{clips}/blue_5.mp4,0"]
    (tmp_path / "two.csv").write_text("\n".join(["path,label", *lines, ""]))
    (tmp_path / "labels.txt").write_text("blue\ndark\n")
    options = EvalOptions(folder=run, manifest=tmp_path / "two.csv", workers=0, device="cpu")
    result, _ = evaluate_folder(options, tmp_path / "out")
    by_model = [CLASSES.index(word) for word in ("dark", "blue")]
    assert result.manifest.labels["label"].tolist() == by_model
    assert result.manifest.classes["label"] == CLASSES
    said = "has 2 of the model's 4 classes of 'label', matched by name: class 0 is "
    assert said + f"{by_model[1]} 'blue', 1 is {by_model[0]} 'dark'" in caplog.text
    (tmp_path / "labels.txt").write_text("blau\ndark\n")
    with pytest.raises(ManifestError, match=r"1 of 2 classes of 'label' are none of .*: blau"):
        options.load("cpu")


def test_class_folders_lists_and_patterns_are_evaluated(
    run: Path, clips: Path, tmp_path: Path
) -> None:
    for name in ("dark", "blue"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "5.mp4").symlink_to(clips / f"{name}_5.mp4")
    (tmp_path / "in.txt").write_text("in/blue/5.mp4;blue\nin/dark/5.mp4;dark\n")
    for source in (tmp_path / "in", tmp_path / "in.txt", tmp_path / "in" / "*" / "*.mp4"):
        found = EvalOptions(folder=run, manifest=source, workers=0).load("cpu").manifest
        assert [CLASSES[label] for label in found.labels["label"]] == ["blue", "dark"]
    files = [str(tmp_path / "in" / name / "5.mp4") for name in ("blue", "dark")]
    words = ["eval", str(run), "--out", str(tmp_path / "out"), "--manifest", *files]
    said = CliRunner().invoke(app, [*words, "--workers", "0"])  # a pattern that the shell expands
    assert said.exit_code == 0, said.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["num_clips"] == 2
    with pytest.raises(ManifestError, match="matches no file"):
        EvalOptions(folder=run, manifest=tmp_path / "in" / "*.avi").load("cpu")


def test_a_model_without_class_names_takes_those_of_the_manifest_and_says_so(
    run: Path, clips: Path, caplog: pytest.LogCaptureFixture
) -> None:
    named = read_manifest(clips / "manifest.csv")
    unnamed = replace(load_trained(run), classes={"label": ("0", "1", "2", "3")})
    assert with_class_names(named, unnamed).classes == named.classes
    assert "only numbers in the model: class 0 is taken for 'dark'" in caplog.text
    caplog.clear()
    with_class_names(named, load_trained(run))
    assert not caplog.text


def test_a_trained_model_is_not_changed_by_an_override(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="changes the model"):
        evaluate_folder(EvalOptions(folder=run, overrides=("model.dropout=0.9",)), tmp_path)


def test_another_protocol_is_named_in_the_results(run: Path, tmp_path: Path) -> None:
    """Test views of a run on 32 pixels: no protocol by itself, gc-2x1 when asked for."""

    def facts_of(folder: str, **asked: Any) -> dict[str, Any]:
        _, path = evaluate_folder(
            EvalOptions(folder=run, workers=0, device="cpu", **asked), tmp_path / folder
        )
        return cast("dict[str, Any]", json.loads(path.read_text()))

    assert facts_of("own")["protocol"] is None
    other = facts_of("other", protocol="gc-2x1")
    assert other["protocol"] == "gc-2x1"
    views = {"clips": 2, "crops": 1, "frames": 2, "size": 37, "segments": 2}
    assert other["views"] == views
    changed = facts_of("changed", protocol="gc-2x1", overrides=("test.sampling.clips=1",))
    assert changed["protocol"] == "gc-1x1"
    with pytest.raises(RecipeError, match="did you mean 'gc-2x1'"):
        facts_of("none", protocol="gc2x1")


def test_other_segments_are_asked_for_in_three_ways(run: Path, tmp_path: Path) -> None:
    """By number, by protocol and by override; the run's recipe stays that of 2 segments."""
    stored = (run / "recipe.yaml").read_bytes()

    def facts_of(**asked: Any) -> dict[str, Any]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        options = EvalOptions(folder=run, workers=0, device="cpu", **asked)
        _, path = evaluate_folder(options, folder)
        return cast("dict[str, Any]", json.loads(path.read_text()))

    own, asked = facts_of(), facts_of(segments=5)
    assert own["other_segments"] == ""
    assert asked["other_segments"] == "trained on 2 segments (2 frames), tested on 5 (5 frames)"
    assert (asked["views"]["segments"], asked["views"]["frames"]) == (5, 5)
    assert asked["gmacs_per_view"] == pytest.approx(2.5 * own["gmacs_per_view"], abs=1e-3)
    assert asked["metrics"] == facts_of(overrides=("test.sampling.num_segments=5",))["metrics"]
    ten = facts_of(segments=25, protocol="tsm-1x10")
    assert (ten["views"]["crops"], ten["views"]["segments"]) == (10, 25)
    assert ten["protocol"] == facts_of(protocol="tsn-25x10")["protocol"] == "tsn-25x10"
    assert (run / "recipe.yaml").read_bytes() == stored


def test_the_command_says_on_how_many_segments_it_tested(run: Path, tmp_path: Path) -> None:
    words = ["eval", str(run), "--segments", "4", "--out", str(tmp_path / "out"), "-j", "0"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0
    assert "trained on 2 segments (2 frames), tested on 4 (4 frames)" in said.output
    wrong = CliRunner().invoke(app, [*words[:3], "0"])
    assert wrong.exit_code == 2
    assert "Invalid value for '--segments'" in wrong.output


def test_readable_clips_have_numbers_of_their_own(run: Path, clips: Path, tmp_path: Path) -> None:
    holed = shutil.copytree(clips, tmp_path / "clips")
    (holed / "red_5.mp4").write_bytes(b"text")
    result, path = evaluate_folder(
        EvalOptions(folder=run, manifest=holed / "manifest.csv", workers=2, device="cpu"),
        tmp_path / "out",
    )
    facts = json.loads(path.read_text())
    assert facts["num_clips"] == 8
    right = facts["metrics_readable"]["acc/top1"] * 7 / 100
    assert facts["metrics"]["acc/top1"] == pytest.approx(100 * right / 8, abs=1e-3)
    assert facts["metrics"]["loss"] == facts["metrics_readable"]["loss"]
    stored = read_stored(path.with_name("predictions.parquet")).evaluation
    assert stored.metrics == result.metrics
    shown = CliRunner().invoke(app, ["eval", str(path.with_name("predictions.parquet"))])
    assert "1 clip could not be read and counts as wrong" in shown.output


def test_nothing_readable_is_an_answer_too(run: Path, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("path,label\ngone.mp4,0\nlost.mp4,1\n")
    result, path = evaluate_folder(
        EvalOptions(folder=run, manifest=tmp_path / "gone.csv", workers=0, device="cpu"), tmp_path
    )
    assert result.metrics["acc/top1"] == 0
    facts = json.loads(path.read_text())
    assert facts["num_missing"] == 2
    assert facts["metrics_readable"]["acc/top1"] is None
    stored = read_stored(tmp_path / "predictions.parquet").evaluation
    assert stored.metrics["acc/top1"] == 0
    assert len(stored.missing) == 2


def test_one_checkpoint_of_a_run_has_its_results_beside_those_of_the_best(
    run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    last = copy / "checkpoints" / "last.pt"
    shown = CliRunner().invoke(app, ["eval", str(last), "-j", "0", "--device", "cpu"])
    assert shown.exit_code == 0, shown.output
    assert (copy / "results" / "last-val" / "results.json").is_file()
    counts = load_trained(last).class_counts["label"]  # the training clips are those of the run
    assert counts.tolist() == load_trained(run).class_counts["label"].tolist()


def test_a_run_in_which_no_epoch_is_chosen_gives_its_averaged_weights(run: Path) -> None:
    checkpoints = run / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["last.pt"]
    averaged = load_checkpoint(checkpoints / "last.pt")["ema"]
    for name, value in load_trained(run).model.state_dict().items():
        assert torch.equal(value, averaged[f"module.{name}"])


def two_heads(clips: Path) -> Evaluation:
    manifest = read_manifest(clips / "manifest.csv", split="val")
    labels = {"verb": np.array([0, 1] * 4), "noun": np.array([0] * 8)}
    classes = {"verb": ("take", "put"), "noun": ("cup", "pan")}
    scores = {
        "verb": np.eye(2, dtype=np.float32)[[0, 1] * 4],
        "noun": np.eye(2, dtype=np.float32)[[0] * 6 + [1] * 2],
    }
    return Evaluation(manifest.without("label").with_columns(labels, classes), scores)


def test_with_several_heads_all_must_be_right(clips: Path) -> None:
    metrics = two_heads(clips).metrics
    assert metrics["acc/top1"] == metrics["noun/acc/top1"] == 75
    assert metrics["verb/acc/top1"] == 100


def test_a_probability_of_zero_keeps_the_loss_finite(clips: Path) -> None:
    wrong = {"verb": np.array([[0, 1], [1, 0]] * 4, np.float32)}
    loss = replace(two_heads(clips), scores=wrong, average="probs").metrics["loss"]
    assert 80 < loss < 90


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0]}, "has no column 'scores'"),
        ({"scores": [[0.5, 0.5]]}, "no labels for it"),
        ({"scores": [[0.5, 0.5]], "label": [2]}, "not a class from 0 to 1"),
        ({"scores": [[0.5], [0.5, 0.5]], "label": [0, 0]}, "scores a clip, expected one number"),
    ],
)
def test_a_dump_that_does_not_add_up_is_refused(
    columns: dict[str, list[object]], message: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(RunError, match=message):
        read_stored(tmp_path / "p.parquet")


def test_a_file_that_is_no_dump_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_text("text")
    with pytest.raises(RunError, match="not a Parquet file, or damaged"):
        read_stored(tmp_path / "p.parquet")


def test_a_dump_of_more_than_five_classes_has_a_top5(tmp_path: Path) -> None:
    scores = np.eye(7, dtype=np.float32)[[0, 1]]
    table = {"label": [0, 6], "scores": pa.array(list(scores), pa.list_(pa.float32()))}
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    metrics = read_stored(tmp_path / "p.parquet").evaluation.metrics
    assert {k: v for k, v in metrics.items() if k != "loss"} == {
        "acc/top1": 50,
        "acc/top5": 50,
        "acc/class_avg": 50,
    }


def test_an_unwritable_folder_is_said(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="could not be written"):
        evaluate_folder(EvalOptions(folder=run, workers=0, device="cpu"), tmp_path / "file" / "out")


def test_several_manifests_are_evaluated_as_one(run: Path, clips: Path, tmp_path: Path) -> None:
    for i, row in enumerate((f"{clips}/dark_5.mp4,0", f"{clips}/red_5.mp4,1")):
        (tmp_path / f"{i}.csv").write_text(f"path,label\n{row}\n")
        (tmp_path / "labels.txt").write_text("\n".join(CLASSES))
    both = tuple(str(tmp_path / f"{i}.csv") for i in range(2))
    options = EvalOptions(folder=run, manifest=both, workers=0, device="cpu")
    result, _ = evaluate_folder(options, tmp_path / "out")
    assert result is not None
    assert result.manifest.labels["label"].tolist() == [0, 1]
    words = [word for each in both for word in ("--manifest", each)]
    done = CliRunner().invoke(app, ["eval", str(run), *words, "--out", str(tmp_path / "cli")])
    assert not done.exit_code, done.output
