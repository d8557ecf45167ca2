"""The commands in docs/checkpoints.md and docs/models.md run as written; their tables are true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from marey import models
from marey.cli.app import app
from marey.convert.repositories import REPOSITORIES
from marey.engine.train.loop import train
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.i3d import I3DResNetSpec
from marey.models.encoders.tdn import TDNSpec
from marey.models.profile import cost
from marey.models.temporal.ecal import ECal
from marey.models.temporal.gst import GST
from marey.models.temporal.tam import TAM
from marey.models.temporal.tdn import LongTermDifference
from marey.models.video_model import Head, ModelSpec
from marey.recipes import catalog
from tests.convert import upstream
from tests.convert.test_convert import MOBILENET, NAME
from tests.tiny import CLASSES, tiny_recipe, write_clip, write_set

DOCS = Path(__file__).resolve().parents[1] / "docs"
LATER = (BLVNetSpec, I3DResNetSpec, TDNSpec, ECal, GST, TAM, LongTermDifference)
NAMES = {**vars(models), **{cls.__name__: cls for cls in LATER}}


def commands(name: str) -> list[str]:
    text = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line.partition("#")[0].strip() for line in "".join(blocks).splitlines() if line]


def run(command: str) -> str:
    words = shlex.split(command)
    assert words[0] == "marey", command
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception}"
    return done.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    weights = upstream.under(upstream.tsm_mobilenet, upstream.filled(MOBILENET))
    for name in (NAME, "ckpt.best.pth"):
        torch.save({"state_dict": weights}, name)
    Path("names.txt").write_text("\n".join(CLASSES))
    write_clip(tmp_path / "clip.mp4", 1)
    write_set(tmp_path / "my-data", per_class=1, val_per_class=1)
    return tmp_path


def test_commands_about_checkpoints_run_in_order(folder: Path) -> None:
    for command in commands("checkpoints.md"):
        run(command)
    assert (folder / "tsm-mine" / "model.safetensors").is_file()
    assert (folder / "tsm-best" / "config.json").is_file()
    assert "weights from tsm-mine" in (folder / "runs" / "tsm-mine" / "train.log").read_text()


def test_commands_about_models_run(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: catalog.find(name) for name in ("demo-tsm", "tsm-mobilenetv2")}
    monkeypatch.setattr(catalog, "rows", lambda: few)  # all of them take minutes
    listed, measured = (run(c) for c in commands("models.md") if c.startswith("marey models"))
    assert "demo-tsm" in listed
    assert "latency" in measured
    monkeypatch.undo()
    assert "claim          top-1 51.1, top-5 79.4" in run("marey recipes show gc-tsm-r50-8f-ssv1")
    listed = run("marey recipes")
    assert all(name in listed for name in catalog.rows())  # whole, to be typed
    assert "StepDecay(milestones=(20, 40), gamma=0.1)" in run("marey recipes show tsm-r50-8f-ssv1")
    assert "resnet50-0676ba61.pth" in run("marey weights list resnet50 --json")


def test_commands_that_test_on_other_segments_run(folder: Path) -> None:
    recipe = tiny_recipe(folder / "my-data" / "manifest.csv", epochs=1)
    train(recipe, Path("runs/tsn-r18"), device="cpu", quiet=True)
    tests = [line for line in commands("models.md") if line.startswith("marey eval runs/tsn-r18")]
    said = [run(f"{command} -j 0 --device cpu") for command in tests]
    tested = [re.findall(r"tested on (\d+)", text)[0] for text in said]
    assert tested == ["25", "25", "16", "16"]
    assert {path.name for path in Path("runs/tsn-r18/results").iterdir()} >= {"val", "tsm-16"}


def test_the_example_of_a_stream_runs() -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(block, names)
    assert isinstance(logits := names["logits"], torch.Tensor)
    assert logits.shape == (1, 27)


def test_models_cannot_be_timed_no_times() -> None:
    done = CliRunner().invoke(app, ["models", "demo-tsm", "--measure", "--repeats", "0"])
    assert done.exit_code == 2


def test_every_repository_that_is_read_is_in_the_table() -> None:
    text = (DOCS / "checkpoints.md").read_text(encoding="utf-8")
    for repository in REPOSITORIES:
        assert f"`{repository.name}`" in text


def rows() -> list[tuple[str, str, str, float, float]]:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    found = re.findall(
        r"^\| (.+?) \| `(.+?)` \| (?:`(.+)`)? ?\| ([\d.]+) \| ([\d.]+) \|$", text, re.M
    )
    return [(name, enc, ops or "", float(m), float(g)) for name, enc, ops, m, g in found]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_table_of_models_is_what_the_expressions_cost(
    row: tuple[str, str, str, float, float],
) -> None:
    _, encoder, ops, millions, gmacs = row
    spec = ModelSpec(
        eval(encoder, NAMES),
        eval(f"({ops},)" if ops else "()", NAMES),
        num_segments=8,
        heads=(Head("label", 174),),
    )
    counted = cost(spec, 224)
    assert counted.parameters / 1e6 == pytest.approx(millions, abs=0.006)
    assert counted.gmacs == pytest.approx(gmacs, abs=0.006)


def test_the_table_of_transformers_is_what_they_cost() -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| .+? \| `(.+?)` \| ([\d.]+) \| ([\d.]+) \| [\d.]+ \|$", text, re.M)
    assert len(found) == 4
    for encoder, millions, gmacs in found:
        counted = cost(
            ModelSpec(eval(encoder, NAMES), (), num_segments=16, heads=(Head("label", 400),)), 224
        )
        assert counted.parameters / 1e6 == pytest.approx(float(millions), abs=0.006)
        assert counted.gmacs == pytest.approx(float(gmacs), abs=0.006)


def test_the_table_of_models_is_read_whole() -> None:
    assert len(rows()) == 19
