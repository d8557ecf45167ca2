"""The image is made as the README says; Docker itself is not needed to see that."""

from __future__ import annotations

import re
from pathlib import Path

import typer
import yaml

from marey.cli.app import app

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
