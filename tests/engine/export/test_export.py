"""The whole way: a run, the files made of it, and what uses them in place of the weights."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import marey
from marey.cli.app import app
from marey.engine.export.export import WantedFile, _off, export_file, export_weights
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.evaluate_timelines import evaluate_timelines_of
from marey.engine.inference.predict import Predictor, load
from marey.engine.inference.predict_many import PredictOptions, predict_clips
from marey.engine.live.recogniser import live_recogniser
from marey.engine.optimize.clips import WantedClips
from marey.engine.runtimes.exported import CHECK
from marey.engine.runtimes.graph_files import Runtime
from marey.engine.train.loop import train
from marey.engine.weights.calibration import Calibration, write_calibration
from marey.engine.weights.trained import load_trained
from marey.errors import CheckpointError, ManifestError, MareyError, RunError
from marey.models import TSM, ResNetSpec
from marey.recipes.recipe import DataSpec
from marey.recipes.shared import without_places
from marey.timelines.decisions import MeanOfLast
from tests.tiny import tiny_recipe, write_set

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

HAS_OPENVINO = find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="no openvino")
RUNTIMES = ["onnx", pytest.param("openvino", marks=needs_openvino), "pt2"]
CLOSE = {"rel": 1e-4, "abs": 1e-6}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    return train(tiny_recipe(write_set(folder / "clips")), folder / "run", quiet=True)


@pytest.fixture(scope="module")
def online(run: Path) -> Path:
    """A run that only looks back, with a rule of its own."""
    recipe = tiny_recipe(run.parent / "clips" / "manifest.csv")
    encoder = ResNetSpec(18, channels=8)
    model = replace(recipe.model, encoder=encoder, temporal=(TSM(direction="past"),))
    recipe = replace(recipe, name="online", model=model, decision=MeanOfLast(3))
    return train(recipe, run.parent / "online", quiet=True)


@pytest.fixture(scope="module")
def clip(run: Path) -> Path:
    return run.parent / "clips" / "red_5.mp4"


def wanted(to: Runtime = "onnx", **more: Any) -> WantedFile:
    return WantedFile(to=to, **{"clips": WantedClips(workers=0), **more})


@pytest.fixture(scope="module")
def made(run: Path) -> Path:
    """The folder of each runtime's export."""
    folder = run.parent / "made"
    for to in ("onnx", *["openvino"] * HAS_OPENVINO, "pt2"):
        export_file(run, folder / to, wanted(to))
    return folder


@pytest.fixture(scope="module")
def stream(online: Path) -> Path:
    export_file(online, online.parent / "stream", wanted(stream=True))
    return online.parent / "stream"


def scores_of(predictor: Predictor, video: Path) -> dict[str, float]:
    answers = predictor.predict(video, top=100)
    assert isinstance(answers, list)
    return {answer["label"]: answer["score"] for answer in answers}


@pytest.mark.parametrize("to", RUNTIMES)
def test_a_file_answers_as_the_run_without_it(
    to: str, made: Path, run: Path, clip: Path, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(made / to, tmp_path / "far" / "away"))
    ours = load(copied, trusted=True)
    assert ours.exported is not None
    assert all(weight.is_meta for weight in ours.trained.model.parameters())
    theirs = load(run)
    assert scores_of(ours, clip) == pytest.approx(scores_of(theirs, clip), **CLOSE)
    assert ours.labels == theirs.labels
    assert ours.trained.recipe == without_places(theirs.trained.recipe)
    counts = theirs.trained.class_counts["label"]
    np.testing.assert_array_equal(ours.trained.class_counts["label"], counts)
    several = [str(clip), str(clip.with_name("dark_4.mp4"))]
    assert ours.predict(several) == {
        file: [{**answer, "score": pytest.approx(answer["score"], **CLOSE)} for answer in answers]
        for file, answers in theirs.predict(several).items()
    }


@pytest.mark.parametrize("to", RUNTIMES)
def test_what_a_file_was_tried_on_is_written_beside_it(to: str, made: Path) -> None:
    check = json.loads((made / to / CHECK).read_text())
    assert check["num_clips"] == 8
    assert check["num_answers"] == 16  # alone, and three at once
    assert check["difference"] <= check["limit"] == 1e-4
    assert check["agreement"] == 100
    assert set(check["files"]) == {each.name for each in (made / to).iterdir()} - {CHECK}
    assert check["versions"]["torch"] == torch.__version__


def test_a_stream_gives_what_the_clip_gives_and_carries_its_rule(
    stream: Path, online: Path, clip: Path
) -> None:
    ours = load(stream)
    assert scores_of(ours, clip) == pytest.approx(scores_of(load(online), clip), **CLOSE)
    assert ours.trained.recipe.decision == MeanOfLast(3)
    check = json.loads((stream / CHECK).read_text())
    assert (check["of"], check["num_clips"], check["num_answers"]) == ("stream", 8, 32)


def test_a_stream_of_a_file_is_recognised_live_as_that_of_the_run(
    stream: Path, online: Path
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 40, 48, 3), np.uint8)
    found = []
    for folder in (stream, online):
        recogniser = live_recogniser(load(folder))
        assert recogniser.by == "frame"
        a, b = recogniser.begin(), recogniser.begin()
        steps = [
            [(a, each, float(i)), (b, 255 - each, float(i))] for i, each in enumerate(pictures)
        ]
        found.append([answer for step in steps for answer in recogniser.step(step)])
    for ours, theirs in zip(*found, strict=True):
        assert ours is not None
        assert theirs is not None
        assert ours.label == theirs.label
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-4)


@pytest.mark.slow
def test_a_file_of_clips_of_a_model_that_looks_back_is_recognised_by_windows(
    online: Path, made: Path, tmp_path: Path
) -> None:
    export_file(online, tmp_path / "clips", wanted("pt2"))
    assert live_recogniser(load(tmp_path / "clips", trusted=True)).by == "window"
    with pytest.raises(RunError, match="takes whole clips, not frame by frame"):
        _ = load(made / "onnx").exported.stream  # type: ignore[union-attr]


def contents(folder: Path) -> list[bytes]:
    """What is in the files of an export; one of torch is an archive."""
    plain = [file.read_bytes() for file in folder.iterdir() if file.suffix != ".pt2"]
    for file in folder.glob("*.pt2"):
        with zipfile.ZipFile(file) as archive:
            plain += [archive.read(name) for name in archive.namelist()]
    return plain


@pytest.mark.parametrize("to", RUNTIMES)
def test_a_file_does_not_say_where_clips_lie(to: str, made: Path, run: Path) -> None:
    said = load(made / to, trusted=to == "pt2").trained.recipe
    assert said.data == DataSpec()
    for place in (run.parent, Path(marey.__file__).parent, Path(torch.__file__).parent):
        assert not [each for each in contents(made / to) if str(place).encode() in each]
    with pytest.raises(MareyError, match="does not say which clips it was"):
        evaluate_folder(EvalOptions(folder=made / to, workers=0, trusted=True))


def test_a_file_is_evaluated_and_predicts_many_as_the_run(
    made: Path, run: Path, tmp_path: Path
) -> None:
    source = run.parent / "clips" / "manifest.csv"
    options = [
        EvalOptions(folder=folder, manifest=source, workers=0) for folder in (made / "onnx", run)
    ]
    ours, theirs = (evaluate_folder(each, tmp_path / str(i))[0] for i, each in enumerate(options))
    assert ours is not None
    assert theirs is not None
    np.testing.assert_allclose(ours.scores["label"], theirs.scores["label"], rtol=1e-4, atol=1e-6)
    said = json.loads((tmp_path / "0" / "results.json").read_text())
    assert said["scored_by"] == "onnxruntime"
    assert said["role"] == json.loads((tmp_path / "1" / "results.json").read_text())["role"]
    many = PredictOptions(model=made / "onnx", source=str(source), workers=0)
    done = predict_clips(many, tmp_path / "many.parquet")
    assert done is not None
    assert done.num_clips == 24
    with pytest.raises(RunError, match="temperatures belong to the run"):
        evaluate_folder(options[0], tmp_path / "2", calibrate=True)


def test_timelines_of_a_file_are_evaluated_as_those_of_the_run(
    made: Path, run: Path, tmp_path: Path
) -> None:
    clips = run.parent / "clips" / "manifest.csv"
    ours, theirs = (
        evaluate_timelines_of(of, clips, window_seconds=0.4, out=tmp_path / of.name, device="cpu")
        for of in (made / "onnx", run)
    )
    assert ours.heads["label"].estimates == theirs.heads["label"].estimates
    assert ours.models == [str(made / "onnx")]


@pytest.mark.parametrize(
    "runtime",
    [
        "pt2",
        pytest.param("onnx", marks=pytest.mark.slow),
        pytest.param("openvino", marks=[pytest.mark.slow, needs_openvino]),
    ],
)
def test_a_run_is_scored_by_a_runtime_made_on_the_spot(
    runtime: Runtime, run: Path, clip: Path
) -> None:
    predictor = load(run, runtime=runtime)
    assert predictor.scorer is not None
    assert scores_of(predictor, clip) == pytest.approx(scores_of(load(run), clip), **CLOSE)


def test_a_file_of_a_fixed_batch_takes_any_number(run: Path, clip: Path, tmp_path: Path) -> None:
    check = export_file(run, tmp_path / "two", wanted(batch=2, segments=3))
    assert check.tensorrt == ()
    ours = load(tmp_path / "two")
    assert ours.trained.recipe.test.sampling.frames == 3
    theirs = load(run, segments=3)
    assert scores_of(ours, clip) == pytest.approx(scores_of(theirs, clip), **CLOSE)
    with pytest.raises(RunError, match=r"is for clips of 3 x 3 x 32 x 32, these are 4 x 3 x 32"):
        load(tmp_path / "two", segments=4).predict(clip)


def test_a_file_that_is_off_is_refused_unless_asked(run: Path, tmp_path: Path) -> None:
    calibration = str(run.parent / "clips" / "manifest.csv")
    clips = WantedClips(workers=0, calibration=calibration)
    with pytest.raises(RunError, match=r"model.onnx is off by .* more than 1e-09; nothing was"):
        export_file(run, tmp_path / "out", wanted(int8=True, clips=clips, limit=1e-9))
    assert not (tmp_path / "out").exists()
    check = export_file(
        run, tmp_path / "out", wanted(int8=True, clips=clips, keeps="close", limit=60.0)
    )
    for share in (1.0, 1.3, 8.8, 9.9):
        off = replace(check, keeps="exact", difference=share * 1e-4, limit=1e-9)
        allowed = re.search(r"--exact (\S+) allows it", str(_off(off)))
        assert allowed is not None
        assert replace(off, limit=float(allowed[1])).holds
    off = replace(check, agreement=94.6, limit=95.0)
    assert "--close 94 allows it" in str(_off(off))
    assert check.difference > 1e-9
    found = load(tmp_path / "out").exported
    assert found is not None
    assert found.facts.numbers == "int8"
    assert any("QuantizeLinear" in fault or "UINT8" in fault for fault in check.tensorrt)


@pytest.mark.slow
@needs_openvino
def test_openvino_takes_8_bits_of_one_clip_at_once(run: Path, clip: Path, tmp_path: Path) -> None:
    more: dict[str, Any] = {"int8": True, "batch": 1, "keeps": "close", "limit": 60.0}
    found = []
    for to in ("openvino", "onnx"):
        export_file(run, tmp_path / to, wanted(to, **more))
        found.append(scores_of(load(tmp_path / to), clip))
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_temperatures_of_other_weights_are_said_to_be_left_out(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    write_calibration(Calibration(temperatures={"label": 2.0}, weights="others"), folder)
    said: list[str] = []
    export_file(folder, tmp_path / "out", wanted("pt2"), say=said.append)
    assert any(re.search("temperatures are left out: .* is of other weights", of) for of in said)


def test_what_fails_on_its_way_out_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, copy = tmp_path / "out", shutil.copyfile

    def full(source: Path, to: Path) -> None:
        copy(source, to)
        if to.name == CHECK and to.parent == out:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(RunError, match="No space left"):
            export_file(run, out, wanted("pt2"))
    assert not any(out.iterdir())
    export_file(run, out, wanted("pt2"))  # it is not occupied


def test_a_file_has_no_weights_to_write(made: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="runs without weights, and has none to write"):
        load(made / "onnx").save_pretrained(tmp_path / "out")


def test_a_pt2_file_is_opened_only_where_it_is_trusted(made: Path) -> None:
    with pytest.raises(RunError, match="was not opened: a .pt2 file may run whatever it holds"):
        load(made / "pt2")


def test_what_an_export_cannot_be_is_said(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    refusal = f"^{re.escape(str(run))} gives no stream: temporal is.*hint: recipes that only look"
    with pytest.raises(RunError, match=refusal):
        export_file(run, tmp_path / "out", wanted(stream=True), say=said.append)
    assert not said
    with pytest.raises(ValueError, match="for openvino are of one clip at once"):
        wanted("openvino", int8=True)
    with pytest.raises(ValueError, match="numbers of 8 bits are not for pt2"):
        wanted("pt2", int8=True)
    with pytest.raises(ValueError, match="a file of clips gives all heads"):
        wanted(head="label")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(RunError, match="is not empty"):
        export_file(run, tmp_path / "full", wanted())
    with pytest.raises(RunError, match=r"/below could not be written: .*/x is no folder"):
        export_file(run, tmp_path / "full" / "x" / "below", wanted(), say=said.append)
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        with pytest.raises(RunError, match=f"written: nothing may be written in {tmp_path}. hint"):
            export_file(run, tmp_path / "out", wanted(), say=said.append)
    assert not said
    gone = WantedClips(manifest=str(tmp_path / "none.csv"))
    with pytest.raises(ManifestError):
        export_file(run, tmp_path / "out", wanted(clips=gone))
    assert not (tmp_path / "out").exists()


def test_what_is_no_export_is_said(made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "onnx" / "model.onnx", tmp_path)
    shutil.copy(made / "pt2" / "model.pt2", tmp_path)
    with pytest.raises(RunError, match=r"holds 2 exported files: model.onnx, model.pt2"):
        load(tmp_path)
    with pytest.raises(RunError, match="is a file of onnx, and openvino is asked for"):
        load(tmp_path / "model.onnx", runtime="openvino")
    with pytest.raises(CheckpointError, match="carries no temperatures"):
        load(tmp_path / "model.onnx", calibrated=True)


def edited(made: Path, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The file of ONNX with other words about its model."""
    import onnx

    model = onnx.load(made / "onnx" / "model.onnx")
    (entry,) = [each for each in model.metadata_props if each.key == "marey"]
    facts = json.loads(entry.value)
    change(facts)
    entry.value = json.dumps(facts)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda facts: facts.pop("file"), "does not say how its model is used"),
        (lambda facts: facts["labels"]["label"].pop(), "labels of 'label' are 3, expected one for"),
        (lambda facts: facts["class_counts"]["label"].pop(), "class_counts of 'label' are 3, exp"),
        (lambda facts: facts["file"].update(batch="many"), "file.batch is 'many', expected"),
        (lambda facts: facts["file"].update(outputs=["x"]), "inputs and outputs are not those it"),
        (lambda facts: facts.pop("labels"), "labels is missing"),
        (
            lambda facts: facts.update(calibration={"temperatures": {"label": 0}}),
            "temperature of 'label' is 0.0, expected more than 0",
        ),
        (lambda facts: facts["file"]["outputs"].append("x"), "has the output 'x'; it has label"),
        (
            lambda facts: facts["file"]["inputs"].update(clip=[2, 3, 40, 40]),
            "the input 'clip' of its graph is n x 2 x 3 x 40 x 40; it is n x 2 x 3 x 32 x 32",
        ),
        (
            lambda facts: (
                facts["recipe"]["model"]["heads"][0].update(num_classes=3),
                facts["labels"]["label"].pop(),
                facts["class_counts"].clear(),
            ),
            "the output 'label' of its graph is n x 3; it is n x 4",
        ),
    ],
)
def test_a_file_whose_words_do_not_fit_is_refused(
    change: Callable[[dict[str, Any]], object], why: str, made: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=why):
        load(edited(made, tmp_path / "model.onnx", change))


@pytest.mark.parametrize(
    ("to", "name", "why"),
    [
        ("onnx", "model.onnx", "model.onnx is not read by onnxruntime"),
        pytest.param(
            "openvino", "model.xml", "model.xml is not read by openvino", marks=needs_openvino
        ),
        pytest.param(
            "openvino", "model.bin", "model.xml is not read by openvino", marks=needs_openvino
        ),
        ("pt2", "model.pt2", "model.pt2 is not read by torch.export"),
    ],
)
def test_a_file_that_is_cut_short_is_named_with_the_remedy(
    to: str, name: str, why: str, made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = Path(shutil.copytree(made / to, tmp_path / to)) / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(RunError, match=rf"{why}.*copy it again, or export it again"):
        load(file.parent, trusted=True)
    assert not caplog.records  # torch logs a traceback
    file.write_bytes(b"")
    with pytest.raises(RunError, match="copy it again, or export it again"):
        load(file.parent, trusted=True)


@needs_openvino
def test_what_is_gone_of_an_export_is_named(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "openvino", tmp_path / "openvino"))
    (folder / "model.xml").rename(folder / "renamed.xml")
    with pytest.raises(RunError, match=r"renamed.bin is missing.*one name belong together"):
        load(folder)
    (folder / "renamed.xml").unlink()
    with pytest.raises(RunError, match=r"check.json of an export, and no model.onnx or model.xml"):
        load(folder)
    with pytest.raises(RunError, match=r"gone.onnx is not there"):
        load(tmp_path / "gone.onnx")


def test_a_graph_of_somebody_elses_is_refused(made: Path, tmp_path: Path) -> None:
    import onnx

    ours, theirs = onnx.load(made / "onnx" / "model.onnx"), tmp_path / "theirs.onnx"
    x, y = (onnx.helper.make_tensor_value_info(name, 1, [1, 3]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    sets = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=sets, ir_version=9)
    onnx.save(model, theirs)
    with pytest.raises(CheckpointError, match=r"theirs.onnx does not say how its model is used"):
        load(theirs)
    model.metadata_props.extend(ours.metadata_props)
    onnx.save(model, theirs)
    with pytest.raises(CheckpointError, match=r"theirs.onnx .* has the input 'clip'; it has x"):
        load(theirs)


def test_weights_are_read_back(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_weights(run, tmp_path / "release")
    assert load_trained(tmp_path / "release").classes == load_trained(run).classes
    digests = iter(["a", "b"])
    monkeypatch.setattr("marey.engine.export.export.weights_digest", lambda _: next(digests))
    with pytest.raises(CheckpointError, match="is not what was read back"):
        export_weights(run, tmp_path / "damaged")


def said(words: Sequence[str | Path], status: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert done.exit_code == status, done.output
    return done.output


def test_the_command_exports_beside_the_run_and_says_what_it_found(
    run: Path, clip: Path, tmp_path: Path
) -> None:
    here = Path(shutil.copytree(run, tmp_path / "run"))
    output = said(["export", here, "--to", "pt2", "-j", "0"])
    assert "tried on 8 clips: off by " in output
    assert f"written: {tmp_path / 'run-pt2'}" in output
    answers = said(["predict", tmp_path / "run-pt2", clip, "--trusted"])
    assert answers == said(["predict", here, clip])
    output = said(["export", here, "--to", "onnx", "-b", "1", "-j", "0", "--out", tmp_path / "b1"])
    assert "for TensorRT: fixed shapes, and operators that its parser knows; not run" in output
    assert said(["predict", tmp_path / "b1", clip]) == said(["predict", here, clip])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--stream"], "--stream: of files for a runtime; say which: --to onnx"),
        (["--int8"], "--int8: of files for a runtime; say which: --to onnx or openvino"),
        (["--calibration", "x.csv"], "--calibration: of files for a runtime"),
        (["--to", "onnx", "--calibration", "x.csv"], "--calibration is of numbers of 8 bits"),
        (["--to", "onnx", "--exact", "1", "--close", "9"], "one of them says what must be kept"),
        (["--to", "openvino", "--int8"], "for openvino are of one clip at once"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(
    words: list[str], why: str, run: Path, tmp_path: Path
) -> None:
    output = said(["export", run, tmp_path / "out", *words], status=2)
    assert why in " ".join(output.replace("│", " ").split())
