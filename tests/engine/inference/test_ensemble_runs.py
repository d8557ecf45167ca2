"""`marey eval A B`: models that are trained here, each tested by its own recipe."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from marey.cli.app import app
from marey.engine.inference.stored import read_stored
from marey.engine.report.compare import read_comparison
from marey.engine.report.report import write_report
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.metrics.catalog import DASH
from marey.recipes.recipe import TestViews, Views
from marey.video.sampling.segments import Segments
from tests.tiny import tiny_recipe, write_set


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models of other numbers of segments."""
    folder = tmp_path_factory.mktemp("ensemble")
    two = tiny_recipe(write_set(folder / "clips", 2, 2), epochs=1)
    three = replace(
        two,
        name="three",
        model=replace(two.model, num_segments=3),
        train=Views(Segments(3), two.train.crop),
        test=TestViews(Segments(3), two.test.crop),
        seed=1,
    )
    return tuple(  # type: ignore[return-value]
        train(recipe, folder / name, quiet=True, device="cpu")
        for name, recipe in (("two", two), ("three", three))
    )


def marey_eval(*words: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, words), "--device", "cpu", "-j", "0"])


def scores_in(folder: Path) -> np.ndarray:
    return read_stored(folder / "predictions.parquet").evaluation.scores["label"]


def test_models_are_evaluated_and_averaged(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = marey_eval(*runs, "--weights-of", "1,3")
    assert said.exit_code == 0, said.output
    out = tmp_path / "runs" / "two+three" / "results" / "val"
    a, b = (scores_in(out / "members" / name) for name in ("1-two", "2-three"))
    assert np.allclose(scores_in(out), (a + 3 * b) / 4, atol=1e-6)
    for run, alone in zip(runs, (a, b), strict=True):
        assert marey_eval(run).exit_code == 0
        assert np.array_equal(scores_in(run / "results" / "val"), alone)
    facts = read_results(out / "results.json")
    assert facts.views.frames == "2 + 3"
    assert [member.path for member in facts.members] == list(map(str, runs))
    assert "clips are matched by their paths" in said.output
    ensemble = out.parent.parent
    assert write_report(ensemble, None).is_file()
    assert not read_comparison([runs[0], ensemble]).warnings
    # predictions stand in for the models, and what was evaluated once is kept
    before = (out / "members" / "1-two" / "results.json").stat().st_mtime_ns
    dumps = (run / "results" / "val" for run in runs)
    assert marey_eval(*dumps, "--weights-of", "1, 3", "--out", tmp_path / "x").exit_code == 0
    assert np.array_equal(scores_in(tmp_path / "x"), scores_in(out))
    assert marey_eval(*runs).exit_code == 0
    assert (out / "members" / "1-two" / "results.json").stat().st_mtime_ns == before
    assert marey_eval(*runs, "test.crop.size=24").exit_code == 0
    assert (out / "members" / "1-two" / "results.json").stat().st_mtime_ns != before


def test_each_model_may_have_a_manifest_of_its_own(runs: tuple[Path, Path], tmp_path: Path) -> None:
    clips = runs[0].parent / "clips"
    other = shutil.copytree(clips, tmp_path / "elsewhere")
    lines = (other / "manifest.csv").read_text().splitlines()
    (other / "manifest.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
    (other / "red_3.mp4").write_bytes(b"")
    lists = [word for folder in (clips, other) for word in ("--manifest", folder / "manifest.csv")]
    said = marey_eval(*runs, *lists, "--out", tmp_path / "out")
    assert said.exit_code == 0, said.output
    assert f"matched by their paths below {clips} and {other}" in said.output
    assert "three lacks 1 clip:" in said.output
    facts = read_results(tmp_path / "out" / "results.json")
    assert facts.num_missing == 1
    assert facts.missing[0].reason.startswith("three: ")


def test_files_of_predict_stand_in_for_models(runs: tuple[Path, Path], tmp_path: Path) -> None:
    clips = shutil.copytree(runs[0].parent / "clips", tmp_path / "clips")
    (clips / "red_3.mp4").write_bytes(b"")
    files = [tmp_path / f"{run.name}.parquet" for run in runs]
    for run, file in zip(runs, files, strict=True):
        words = [run, clips / "manifest.csv", "--out", file, "--split", "val", "-j", "0"]
        said = CliRunner().invoke(app, ["predict", *map(str, words), "--device", "cpu"])
        assert said.exit_code == 0, said.output
    said = marey_eval(*files, "--out", tmp_path / "out")
    assert "two lacks 1 clip:" in said.output
    assert marey_eval(*runs, "--manifest", clips / "manifest.csv", "--out", tmp_path / "x")
    ours, theirs = (read_results(tmp_path / name / "results.json") for name in ("out", "x"))
    assert ours.metrics == theirs.metrics
    assert ours.classes == theirs.classes
    assert marey_eval(files[0]).exit_code == 0


def test_shares_of_an_ensemble_give_the_whole(runs: tuple[Path, Path], tmp_path: Path) -> None:
    first = marey_eval(*runs, "--out", tmp_path / "out", "--shard", "1/2")
    assert "is there when all shards are done" in first.output
    assert not (tmp_path / "out" / "results.json").exists()
    assert marey_eval(*runs, "--out", tmp_path / "out", "--shard", "0/2").exit_code == 0
    assert marey_eval(*runs, "--out", tmp_path / "whole").exit_code == 0
    assert np.array_equal(scores_in(tmp_path / "out"), scores_in(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weights-of", "1,2"], "are of several models: give two"),
        (["two", "--weights-of", "1:2"], "weights are '1:2', expected numbers like 1,1.5"),
        (["two", *["--manifest", "m.csv"] * 3], "3 manifests for 2 models to evaluate"),
        (["two", "--reconstruction"], "--reconstruction is of one model"),
        (
            ["two", "--row", "tdn-r101-8+16f-ssv2", "test.average=probs", "--average", "probs"],
            "--average, test.average=probs: --row has its own views and weights",
        ),
    ],
)
def test_words_that_contradict_are_refused(
    words: list[str], message: str, runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs[0].parent)
    said = marey_eval("three", *words)
    assert said.exit_code == 2
    assert message in " ".join(said.output.replace("│", " ").split())


def test_a_word_that_is_no_model_and_no_option_is_named(runs: tuple[Path, Path]) -> None:
    said = marey_eval(*runs, "runs/none")
    assert "'runs/none' is neither a model" in str(said.exception)


def test_members_on_other_segments_are_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    words = "trained on 2 segments (2 frames), tested on 3 (3 frames)"
    out = tmp_path / "both" / "results" / "val"
    said = marey_eval(*runs, "--segments", "3", "--out", out)
    assert f"two: {words}" in said.output
    facts = read_results(out / "results.json")
    assert [member.other_segments for member in facts.members] == [words, ""]
    assert words in write_report(tmp_path / "both", None).read_text()
    (row,) = read_comparison([tmp_path / "both"]).table.rows
    assert row[-1] == DASH  # it was never trained itself


def test_predictions_alone_give_their_numbers_and_take_no_views(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert marey_eval(runs[0], "--out", out).exit_code == 0
    assert "acc/top1" in marey_eval(out).output
    assert marey_eval(out).output == marey_eval(out / "predictions.parquet").output
    for words in (["--segments", "3"], ["test.crop=ThreeCrop"], ["--protocol", "tsm-1x1"]):
        said = marey_eval(out, *words)
        assert said.exit_code == 2
        assert f"{words[0]}: " in said.output
