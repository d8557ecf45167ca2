"""The whole way: a run, its forms tried, the folder that is written, and what uses it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from marey.cli.app import app
from marey.cli.bare_options import with_values
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.predict import load
from marey.engine.optimize.clips import WantedClips
from marey.engine.optimize.optimize import Wanted, optimize_folder
from marey.engine.runtimes.catalog import forms_named
from marey.engine.runtimes.form import Running
from marey.engine.runtimes.optimized import FILE, read_optimized
from marey.engine.train.loop import train
from marey.engine.weights.trained import export_release, load_trained
from marey.errors import ManifestError, RunError
from marey.models.video_model import VideoModel
from marey.types import Clip
from tests.tiny import tiny_recipe, write_set

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("optimize")
    return train(tiny_recipe(write_set(folder / "clips")), folder / "run", quiet=True)


@pytest.fixture(scope="module")
def clip(run: Path) -> Path:
    return run.parent / "clips" / "red_5.mp4"


@dataclass(frozen=True)
class Wrong:
    """A form that answers at once, and always the same."""

    name: str = "wrong"
    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def missing(self, device: torch.device) -> str:
        return ""

    def write(self, model: VideoModel, clips: Clip, folder: Path, about: Mapping[str, Any]) -> None:
        pass

    def open(self, model: VideoModel, folder: Path, device: torch.device) -> Running:
        return Running(self.name, model.spec, lambda clip: {"label": torch.zeros(len(clip), 4)})


def wanted(*names: str, **more: Any) -> Wanted:
    clips = WantedClips(workers=0)
    return Wanted(forms=forms_named(names), most_start=600, **{"clips": clips} | more)


@pytest.fixture(scope="module")
def made(run: Path) -> Path:
    out = run.parent / "optimized"
    optimize_folder(run, out, wanted("onnxruntime"))
    return out


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The optimized folder, to spoil."""
    return Path(shutil.copytree(made, tmp_path / "optimized"))


def edited(folder: Path, change: Callable[[Any], None]) -> None:
    facts = json.loads((folder / FILE).read_text())
    change(facts)
    (folder / FILE).write_text(json.dumps(facts))


def scores_of(folder: Path, video: Path) -> list[float]:
    answers = load(folder).predict(video, top=100)
    assert isinstance(answers, list)
    return [answer["score"] for answer in sorted(answers, key=lambda answer: answer["label"])]


def test_a_form_that_differs_is_refused_however_fast(run: Path, tmp_path: Path) -> None:
    forms = (Wrong(), *forms_named(["fused"]))
    found = optimize_folder(run, tmp_path / "out", replace(wanted(), forms=forms))
    assert [row.form for row in found.table] == ["plain", "wrong", "fused"]
    assert found.form == "fused"
    assert found.row("wrong").difference == pytest.approx(1)
    with pytest.raises(RunError, match=r"no form starts within 600 s and keeps 0\.0001"):
        optimize_folder(run, tmp_path / "none", replace(wanted(), forms=(Wrong(),)))
    assert not (tmp_path / "none").exists()


def test_what_is_written_says_where_it_holds_and_for_what(run: Path, made: Path) -> None:
    found = read_optimized(made)
    assert found is not None
    assert (found.form, found.keeps, found.limit) == ("onnxruntime", "exact", 1e-4)
    assert found.clip == (2, 3, 32, 32)
    assert found.num_clips == 8
    assert found.machine.versions.keys() == {"torch", "onnxruntime"}
    assert [*found.files] == ["model.onnx"]
    row = found.row("onnxruntime")
    assert row.difference is not None
    assert row.difference < 1e-5
    assert row.agreement == 100


def test_the_folder_is_a_release_whose_plain_model_is_that_of_the_run(
    run: Path, made: Path
) -> None:
    ours, theirs = (load_trained(each).model.state_dict() for each in (run, made))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert (made / "README.md").is_file()


def test_it_answers_as_the_plain_model_and_says_what_scores(
    run: Path, made: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "marey"):
        found = scores_of(made, clip)
    assert "scored by onnxruntime, the fastest form of this model here" in caplog.text
    trained = load_trained(run)
    assert found == pytest.approx(scores_of(run, clip), abs=1e-4)
    predictor = load(made)
    assert not isinstance(predictor.scorer, VideoModel)
    assert isinstance(predictor.trained.model, type(trained.model))


def test_an_evaluation_has_the_scores_of_the_plain_model_and_says_what_scored(
    run: Path, made: Path, tmp_path: Path
) -> None:
    results = []
    for folder in (run, made):
        out = tmp_path / folder.name
        found, path = evaluate_folder(EvalOptions(folder=folder, workers=0, device="cpu"), out)
        assert found is not None
        results.append((found.scores["label"], json.loads(path.read_text())["scored_by"]))
    (plain, first), (ours, second) = results
    assert np.abs(ours - plain).max() < 1e-4 * np.abs(plain).max()
    assert (first, second) == ("fused", "onnxruntime")


def test_a_form_takes_any_number_of_clips(made: Path) -> None:
    scorer = load(made).scorer
    clips = torch.randn(5, *scorer.spec.clip_shape(32))
    together = scorer(clips)["label"]
    one_by_one = torch.cat([scorer(each)["label"] for each in torch.split(clips, 1)])
    torch.testing.assert_close(together, one_by_one, rtol=1e-4, atol=1e-5)


def test_a_file_of_an_earlier_marey_says_the_same_of_its_machine(copied: Path) -> None:
    now = read_optimized(copied)
    assert now is not None

    def as_earlier(facts: Any) -> None:
        machine = facts["machine"]
        machine["instructions"] = machine.pop("instruction_sets")
        machine["device"] = machine.pop("gpu") or "cpu"

    edited(copied, as_earlier)
    assert read_optimized(copied) == now
    edited(copied, lambda facts: facts["machine"].update(device="H200"))
    card = read_optimized(copied)
    assert card is not None
    assert card.machine.differs(now.machine) == "its device is H200, here it is cpu"


def other_machine(facts: Any) -> None:
    facts["machine"]["processor"] = "Z80"


def other_runtime(facts: Any) -> None:
    facts["machine"]["versions"]["onnxruntime"] = "0.1"


def later(facts: Any) -> None:
    facts["format"] = 99


def unknown(facts: Any) -> None:
    facts["form"] = "../../bin/sh"


def nonsense(facts: Any) -> None:
    facts["clip"] = "large"


def other_size(facts: Any) -> None:
    facts["clip"] = [2, 3, 64, 64]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (other_machine, "made on another machine: its processor is Z80, here it is"),
        (other_runtime, "it was made with onnxruntime 0.1, here is"),
        (later, "optimized.json is of format 99, this marey reads 1"),
        (unknown, "this marey has no form '../../bin/sh'"),
        (nonsense, "clip is 'large', expected a list"),
        (other_size, "it is for clips of 2 x 3 x 64 x 64, these are 2 x 3 x 32 x 32"),
    ],
)
def test_where_it_does_not_hold_the_fused_model_scores_and_it_is_said_why(
    run: Path,
    copied: Path,
    clip: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Any], None],
    why: str,
) -> None:
    edited(copied, change)
    assert scores_of(copied, clip) == scores_of(run, clip)
    assert why in caplog.text
    assert "The fused model scores" in caplog.text


def test_a_damaged_or_missing_file_is_named(
    run: Path, copied: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = copied / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    assert scores_of(copied, clip) == scores_of(run, clip)
    assert "model.onnx is damaged: its checksum is not the one that was written" in caplog.text
    graph.unlink()
    assert scores_of(copied, clip) == scores_of(run, clip)
    assert f"{graph} is missing" in caplog.text


def test_a_file_that_the_runtime_refuses_is_named(
    run: Path, copied: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from marey.engine.runtimes.optimized import file_digest

    (copied / "model.onnx").write_bytes(b"no graph" * 100)
    digest = file_digest(copied / "model.onnx")
    edited(copied, lambda facts: facts["files"].update({"model.onnx": digest}))
    assert scores_of(copied, clip) == scores_of(run, clip)
    assert "model.onnx is not read by onnxruntime" in caplog.text


def test_changed_weights_are_what_scores(
    run: Path, copied: Path, clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = load_trained(run)
    torch.nn.init.zeros_(trained.model.get_parameter("heads.label.weight"))
    from marey.engine.weights.trained import write_release

    shutil.rmtree(tmp_path / "changed", ignore_errors=True)
    write_release(
        tmp_path / "changed", trained.recipe, trained.model.state_dict(), trained.classes, ""
    )
    shutil.copy(tmp_path / "changed" / "model.safetensors", copied)
    assert scores_of(copied, clip) == scores_of(tmp_path / "changed", clip)
    assert "the weights beside it are others" in caplog.text


def test_without_the_runtime_it_is_said_how_to_install_it(
    run: Path,
    made: Path,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("marey.engine.runtimes.onnx_file.installed", lambda _: "")
    assert scores_of(made, clip) == scores_of(run, clip)
    why = "onnxruntime cannot be used: no onnxruntime: pip install 'marey[deploy]'"
    assert why in caplog.text


def test_other_segments_than_it_is_for_are_scored_by_the_fused_model(
    made: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(made, segments=3).predict(clip)
    assert "it is for clips of 2 x 3 x 32 x 32, these are 3 x 3 x 32 x 32" in caplog.text


def test_a_release_is_copied_as_it_is(run: Path, tmp_path: Path) -> None:
    release = export_release(run, tmp_path / "release")
    (release / "README.md").write_text("# What somebody wrote\n")
    out = tmp_path / "out"
    optimize_folder(release, out, wanted("fused"))
    for path in release.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert {path.name for path in out.iterdir()} - {path.name for path in release.iterdir()} == {
        FILE
    }


def test_nothing_is_written_over(run: Path, made: Path) -> None:
    with pytest.raises(RunError, match="is not empty. hint: give a new folder"):
        optimize_folder(run, made, wanted("fused"))


def test_clips_may_be_named_and_must_suffice(run: Path, tmp_path: Path) -> None:
    clips = run.parent / "clips"
    named = WantedClips(manifest=str(clips / "red_0.mp4"), workers=0)
    found = optimize_folder(run, tmp_path / "one", wanted("fused", clips=named))
    assert found.num_clips == 1
    with pytest.raises(ManifestError, match="8 clips for batches of 9"):
        optimize_folder(run, tmp_path / "nine", wanted("fused", batch_size=9))
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(
        ManifestError, match="no clip could be read; the first: .*empty.mp4: the file is empty"
    ):
        optimize_folder(
            run, tmp_path / "none", wanted("fused", clips=WantedClips(manifest=str(empty)))
        )


def test_the_command_prints_the_table_or_json(run: Path, tmp_path: Path) -> None:
    words = ["optimize", str(run), "--form", "fused", "-j", "0", "--start", "600"]
    printed = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "a")])
    assert printed.exit_code == 0, printed.output
    assert "fastest that keeps 0.0001 of the largest logit: fused" in printed.stdout
    assert "difference" in printed.stdout
    as_json = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "b"), "--json"])
    facts = json.loads(as_json.stdout)
    assert facts["form"] == "fused"
    assert [row["form"] for row in facts["table"]] == ["plain", "fused"]
    assert facts == json.loads((tmp_path / "b" / FILE).read_text())
    other = CliRunner().invoke(app, [*words, "--form", "fuzed", "--out", str(tmp_path / "c")])
    assert other.exit_code == 2
    assert "did you mean 'fused'?" in " ".join(other.output.split())


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["optimize", "m", "--close"], ["optimize", "m", "--close=99.5"]),
        (["optimize", "--exact", "--out", "x"], ["optimize", "--exact=0.0001", "--out", "x"]),
        (["optimize", "--close", "98", "m"], ["optimize", "--close", "98", "m"]),
        (["train", "--close"], ["train", "--close"]),
    ],
)
def test_a_limit_alone_is_the_usual_one(words: list[str], meant: list[str]) -> None:
    assert with_values(words) == meant
