"""The image is made as the README says; Docker itself is not needed to see that."""

from __future__ import annotations

import fnmatch
import json
import re
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer
import yaml

from marey.cli.app import app
from marey.serve.limits import Limits
from marey.serve.server import LAST_SECONDS

ROOT = Path(__file__).resolve().parents[1]


def steps(name: str) -> list[tuple[str, str]]:
    """(stage, command) of each `RUN pip install` of the Dockerfile."""
    found, stage = [], ""
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"FROM \S+ AS (\S+)", line):
            stage = match[1]
        if line.startswith("RUN pip install"):
            found.append((stage, line.removeprefix("RUN ")))
    return found


def readme_steps() -> dict[str, str]:
    """What the README has people type, by what it is for."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return {
        kind: line.rstrip()
        for line, kind in re.findall(r"^(pip install .*?)\s+# (CPU|CUDA)", text, re.MULTILINE)
    }


def test_the_steps_of_the_image_are_those_of_the_readme() -> None:
    told = readme_steps()
    assert set(told) == {"CPU", "CUDA"}
    for stage, command in steps("Dockerfile"):
        plain = command.replace('"$TORCH_INDEX"', "ADDRESS").replace('".[deploy]"', ".")
        assert plain == told[stage.upper()]
    assert [stage for stage, _ in steps("Dockerfile")] == ["cpu", "cuda"]


def test_the_image_runs_as_nobody_in_particular_and_copies_what_it_installs() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["marey"]
    assert text.index("USER marey") < text.index("ENTRYPOINT")
    copied = {
        word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()
    }
    assert all((ROOT / name).exists() for name in copied)
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("!") for line in kept if line.startswith("!")} == copied
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "marey"} == copied


def test_options_of_the_image_are_those_of_the_command() -> None:
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {name for each in command.params for name in each.opts}
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    given = {*re.findall(r'"(--[a-z-]+)"', text)}
    for service in compose["services"].values():
        given |= {word for word in service["command"] if word.startswith("--")}
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert given <= known
    assert "--host" in given


def instructions(name: str) -> list[list[str]]:
    """The words of each `NAME [...]` of the Dockerfile: no shell is between, to get the signals."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return [json.loads(words) for words in re.findall(rf"^{name} .*?(\[.*\])$", text, re.MULTILINE)]


def test_the_server_itself_gets_the_signals_of_its_container() -> None:
    assert instructions("ENTRYPOINT") == [["marey", "serve"]]
    ((model, *_),) = instructions("CMD")
    assert model == "/model"
    assert "STOPSIGNAL" not in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_a_container_is_given_the_time_to_stop() -> None:
    takes = Limits().grace_seconds + LAST_SECONDS
    assert takes < 10, "what Docker gives by default"
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        assert float(service["stop_grace_period"].removesuffix("s")) > takes
        assert service["init"]


@pytest.mark.parametrize("status", [200, 503])
def test_health_is_asked_by_what_the_image_has(status: int) -> None:
    ((python, option, code),) = instructions("HEALTHCHECK")
    assert (python, option) == ("python", "-c")
    asked = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        here = code.replace(":8000/", f":{server.server_port}/").replace("timeout=3", "timeout=60")
        assert here != code
        if status == 200:
            exec(here, {})
        else:  # the command fails where the server does not live
            with pytest.raises(urllib.error.HTTPError):
                exec(here, {})
    assert asked == ["/healthz"]


def test_each_kind_of_image_is_a_stage_and_compose_gives_arguments_that_there_are() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    assert re.findall(r"^FROM .*$", text, re.MULTILINE)[-1] == "FROM ${TORCH_BUILD}"
    [usual] = re.findall(r"^ARG TORCH_BUILD=(\S+)", text, re.MULTILINE)
    assert text.index("ARG TORCH_BUILD") < text.index("FROM ")
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    given = [service["build"]["args"] for service in compose["services"].values()]
    assert {usual, *(args.get("TORCH_BUILD", usual) for args in given)} == {"cpu", "cuda"} <= stages
    known = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    assert {name for args in given for name in args} <= known
    devices = compose["services"]["marey-cuda"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets a file be sent to who builds: the last line that fits decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split():
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        ends = range(1, len(parts) + 1)
        starts = range(len(parts)) if "**/" in line else [0]
        if any(
            fnmatch.fnmatchcase("/".join(parts[first:last]), pattern)
            for first in starts
            for last in ends
            if first < last
        ):
            sent = line.startswith("!")
    return sent


def test_nothing_but_the_package_is_sent_to_who_builds() -> None:
    for path in ("marey/cli/app.py", "marey/serve/page/index.html", "pyproject.toml", "LICENSE"):
        assert is_sent(path), path
    for path in (
        *(".git/config", ".venv/bin/python", "runs/mine/best.safetensors", "shared/data/a.mp4"),
        *(".env", "token", "marey/cli/__pycache__/app.cpython-312.pyc", "tests/conftest.py"),
    ):
        assert not is_sent(path), path
