"""The commands and the example in docs/streaming.md run as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.live.recogniser import Answer
from marey.engine.weights.trained import write_release
from marey.recipes.catalog import rows
from marey.timelines.decisions import JESTER, MeanOfLast, PublishedDemo
from marey.video.live.network import PROTOCOLS
from tests.engine.live.test_recogniser import LABELS, pictures, predictor
from tests.video.media import numbered, write_video

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "streaming.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    of = predictor().trained
    Path("runs").mkdir()
    weights = of.model.state_dict()
    write_release(Path("runs/tsm-online"), of.recipe, weights, {"label": LABELS}, "")
    for name in ("clip", "other"):
        write_video(tmp_path / f"{name}.mp4", numbered(3), fps=10)
    return tmp_path


def block(kind: str) -> str:
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.M | re.S)
    return str(text)


def test_the_commands_run(folder: Path) -> None:
    for line in block("sh").splitlines():
        words = shlex.split(line, comments=True)
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, (line, done.output, done.exception)
    assert len((folder / "answers.csv").read_text().splitlines()) == 4
    assert (folder / "said.mp4").stat().st_size > 0


def test_the_example_runs(folder: Path) -> None:
    names: dict[str, object] = {"picture": pictures(1)[0], "seconds": 0.0}
    exec(block("python"), names)
    assert isinstance(names["answer"], Answer)


def test_what_it_says_is_so() -> None:
    assert all(f"`{name}(" in TEXT for name in (MeanOfLast.__name__, PublishedDemo.__name__))
    rule = PublishedDemo()
    for number in (*rule.unsaid, *rule.nothing_too, rule.nothing):
        assert re.search(rf"{JESTER[number].split()[-1]} \({number}\)", TEXT), number
    assert all(scheme in TEXT or scheme[:-1] in TEXT for scheme in PROTOCOLS)
    assert {"tsm-mobilenetv2-online", "tsm-mobilenetv2-online-8f-jester"} <= set(rows())
