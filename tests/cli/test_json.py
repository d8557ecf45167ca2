"""What --json prints is JSON alone, with what is said to a person on stderr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from tests.tiny import write_set


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of four classes in folders, one of which is none, and their manifest."""
    folder = tmp_path_factory.mktemp("json")
    manifest = write_set(folder / "set", per_class=2, val_per_class=1)
    for number, clip in enumerate(sorted(manifest.parent.glob("*.mp4"))):
        home = folder / "videos" / "ab"[number % 2]
        home.mkdir(parents=True, exist_ok=True)
        (home / clip.name).write_bytes(clip.read_bytes())
    (folder / "videos" / "a" / "none.mp4").write_text("no video")
    return folder


def told(*words: str, status: int = 0) -> Any:
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == status, (done.output, done.exception)
    return json.loads(done.stdout)


def test_init_and_check_say_the_clips_that_are_left_out_and_why(made: Path, tmp_path: Path) -> None:
    said = told("data", "init", str(made / "videos"), str(tmp_path))
    assert said["path"] == str(tmp_path / "manifest.csv")
    assert said["clips"] == sum(said["splits"].values()) == 12
    assert [Path(each["path"]).name for each in said["faults"]] == ["none.mp4"]
    assert said["left_out"] == 1
    rows = "\n".join(f"{path},0" for path in sorted(made.glob("videos/a/*.mp4")))
    (tmp_path / "list.csv").write_text(f"path,label\n{rows}\n")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    said = told("data", "check", str(tmp_path / "list.csv"), "--near-duplicates", status=1)
    assert said["complete"]
    assert said["clips"] == sum(said["statuses"].values()) == 7
    [fault] = said["faults"]
    assert (Path(fault["path"]).name, fault["status"]) == ("none.mp4", "unreadable")
    assert "pairs" in said["near_duplicates"]


def test_verify_says_what_is_damaged(made: Path, tmp_path: Path) -> None:
    pack = ("data", "pack", str(made / "set" / "manifest.csv"), str(tmp_path / "packed"))
    assert CliRunner().invoke(app, pack).exit_code == 0
    said = told("data", "verify", str(tmp_path / "packed"))
    assert said["compared"] > 0
    assert said["faults"] == []
    next(tmp_path.rglob("*.tar")).write_bytes(b"")
    said = told("data", "verify", str(tmp_path / "packed"), status=1)
    assert len(said["faults"]) == 1


def test_prepare_lists_data_sets() -> None:
    said = told("data", "prepare")
    assert {"name", "title", "licence", "source"} == said[0].keys()
