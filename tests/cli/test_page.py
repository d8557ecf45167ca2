"""`marey app`: what it serves, says and opens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from marey.cli.app import app
from marey.cli.shared import called
from marey.engine.weights.trained import write_release
from marey.serve import server
from tests.engine.inference.test_predict import untrained


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    of = untrained(folder / "videos").trained
    weights = of.model.state_dict()
    return write_release(folder / "tiny", of.recipe, weights, of.classes, "made for a test")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was served, and what was opened in a browser, in place of doing so."""
    done: list[Any] = []

    def run(application: Any, host: str, port: int, *, ready: Any) -> bool:
        done.append((application, host, port))
        ready(f"http://{host}:{port}")
        return True

    monkeypatch.setattr(server, "run", run)
    monkeypatch.setattr(typer, "launch", done.append)
    return done


def paths(application: Any) -> set[str]:
    return {route.path for route in application.routes}


def test_it_says_where_the_page_is_and_opens_nothing(release: Path, served: list[Any]) -> None:
    done = CliRunner().invoke(app, ["app", str(release)])
    assert done.exit_code == 0, done.output
    ((application, host, port),) = served
    assert (host, port) == ("127.0.0.1", 8000)
    assert "tiny can be tried at http://127.0.0.1:8000 (Ctrl-C ends it)" in done.output
    assert {"/", "/v1/predict", "/v1/explain", "/v1/stream"} <= paths(application)
    assert "/other" not in paths(application)
    assert "warning" not in done.output


def test_a_second_model_stands_beside_and_the_page_is_opened_if_asked(
    release: Path, served: list[Any]
) -> None:
    words = ["app", str(release), "--compare", str(release), "--open", "--port", "0"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (application, _, _), opened = served
    assert opened == "http://127.0.0.1:0"
    assert f"{release} and {release} can be tried" in done.output.replace("\n", " ")
    assert "/other" in paths(application)


def test_two_runs_of_one_recipe_are_told_apart_by_their_folders(
    release: Path, tmp_path: Path, served: list[Any]
) -> None:
    mine, other = (shutil.copytree(release, tmp_path / name) for name in ("mine", "other"))
    done = CliRunner().invoke(app, ["app", str(mine), "--compare", str(other)])
    assert "mine and other can be tried" in done.output
    client = TestClient(served[0][0], base_url="http://localhost")  # not started: no processes
    names = [client.get(f"{base}v1/model").json()["name"] for base in ("/", "/other/")]
    assert names == ["mine", "other"]


def test_models_of_one_name_are_called_as_they_were_given() -> None:
    assert called(Path("runs/a"), Path("runs/b")) == ["a", "b"]
    assert called(Path("a/tsm"), Path("b/tsm")) == ["a/tsm", "b/tsm"]
    assert called(Path("hub:ORG/NAME")) == ["NAME"]
    assert called(Path()) == [Path.cwd().name]


def test_other_machines_are_warned_of(release: Path, served: list[Any]) -> None:
    done = CliRunner().invoke(app, ["app", str(release), "--host", "0.0.0.0"])
    assert "0.0.0.0 is reached from other machines" in " ".join(done.output.split())
