"""`marey serve`, from its words to its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.cli.serve import read_token
from marey.engine.weights.trained import write_release
from marey.errors import RunError
from marey.serve.limits import Limits
from marey.serve.server import is_loopback
from tests.engine.inference.test_predict import untrained

TOKEN = "a-token-of-16-letters"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    of = untrained(folder / "videos").trained
    return write_release(
        folder / "tiny", of.recipe, of.model.state_dict(), of.classes, "made for a test"
    )


def test_it_says_where_it_answers_and_ends_when_told(release: Path, tmp_path: Path) -> None:
    words = (sys.executable, "-m", "marey", "serve", str(release), "--port", "0")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    process = subprocess.Popen(
        [*words, "--token-file", str(tmp_path / "token"), "--host", "0.0.0.0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"tiny answers at (http://0\.0\.0\.0:\d+) \(Ctrl-C ends it\)\n", line)
        assert found, line
        url = found[1].replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/v1/model").status_code == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.post(
            f"{url}/v1/predict",
            files={"file": (release.parent / "videos" / "red_0.mp4").read_bytes()},
            headers=bearer,
            timeout=60,
        )
        assert len(answer.json()["answers"]) == 4
        assert any(tmp_path.glob("marey-serve-*"))
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "no token is asked for" not in errors
    assert not any(tmp_path.glob("marey-serve-*"))


WHILE_IT_LOADS = """
import marey.engine.inference.predict as predict
def load(*_, **__):
    print("loading", flush=True)
    time.sleep(60)
predict.load = load
"""
WHILE_IT_STARTS = """
from marey.serve.service import Service
start = Service.start
def slow(service):
    print("starting", flush=True)
    time.sleep(0.5)
    start(service)
Service.start = slow
"""


@pytest.mark.parametrize("when", [WHILE_IT_LOADS, WHILE_IT_STARTS])
@pytest.mark.parametrize(("command", "number"), [("serve", signal.SIGTERM), ("app", signal.SIGINT)])
def test_it_ends_well_when_asked_to_before_it_answers(
    release: Path, tmp_path: Path, when: str, command: str, number: signal.Signals
) -> None:
    script = f"import time\n{when}\nfrom marey.cli.app import main\nmain()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, command, str(release), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() in ("loading\n", "starting\n")
    process.send_signal(number)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert not printed
    assert "stopped" not in errors
    assert not any(tmp_path.iterdir())


def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAREY_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("MAREY_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text(f"  other-{TOKEN}\n")
    assert read_token(file) == f"other-{TOKEN}"
    for wrong in ("", "short", "two words of a token", "ein-tökén-of-16-letters"):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(RunError, match="under 16 letters, or others than plain ones"):
            read_token(file)
    with pytest.raises(
        RunError, match="missing holds no token.*: No such file or directory.*hint: --"
    ):
        read_token(tmp_path / "missing")


def test_options_that_cannot_be_are_refused_before_anything_listens(release: Path) -> None:
    for words, why in (
        (("--allow-url", "https://videos.example/a.mp4"), "is not the url of a folder"),
        (("--host", "192.0.2.1"), "nothing can listen at 192.0.2.1"),
        (("--background", "purple"), "which is none of the model's classes"),
        (("--max-bytes", "0"), "it is '0', expected 1 or more"),
    ):
        done = CliRunner().invoke(app, ["serve", str(release), "--port", "0", *words])
        assert done.exit_code != 0
        assert why in " ".join(re.sub("[│╭╮╰╯─]", " ", f"{done.output} {done.exception}").split())


def test_who_is_reached_from_outside_is_told_so(release: Path) -> None:
    done = CliRunner().invoke(app, ["serve", str(release), "--host", "192.0.2.1"])
    assert "192.0.2.1 is reached from other machines, and no token is asked for" in done.output
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("videos.example")


def test_every_limit_is_an_option() -> None:
    help_text = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).output
    for field in fields(Limits):
        name = field.name.replace("_", "-")
        assert f"--{name} " in help_text or f"--max-{name} " in help_text
