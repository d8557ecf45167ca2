"""What is kept is counted and removed, and nothing beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.cached import cache_in_words, cache_parts
from marey.engine.inference.encoded import ABOUT
from marey.engine.weights.imagenet import OFFICIAL
from marey.engine.weights.zoo.catalog import CHECKPOINTS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one entry of each kind, in a folder that holds other things by the same names."""
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path))
    monkeypatch.delenv("MAREY_WEIGHTS", raising=False)
    kept = tmp_path / "features" / "0123456789abcdef"
    release = tmp_path / "releases" / next(iter(CHECKPOINTS))
    for folder, names in (
        (kept, (ABOUT, "a.arrow")),
        (release, ("config.json", "model.safetensors")),
        (tmp_path / "features" / "my-own", ("notes.txt",)),
        (tmp_path / "features" / "fedcba9876543210", ("mine.txt",)),
        (tmp_path / "releases" / "my-model", ("config.json",)),
    ):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_bytes(b"x" * 512)
    (tmp_path / next(iter(OFFICIAL.values())).file).write_bytes(b"x" * 2048)
    (tmp_path / "my-weights.pth").write_bytes(b"x")
    return tmp_path


def test_each_kind_is_counted_by_itself(home: Path) -> None:
    counted = {part.name: (len(part.entries), part.num_bytes) for part in cache_parts()}
    assert counted == {"features": (1, 1024), "releases": (1, 1024), "weights": (1, 2048)}
    assert cache_in_words() == f"{home}: features 1.0 KiB, releases 1.0 KiB, weights 2.0 KiB"
    shown = CliRunner().invoke(app, ["cache", "weights", "--json"])
    (row,) = json.loads(shown.output)
    assert row == {"part": "weights", "folder": str(home), "entries": 1, "bytes": 2048}


def test_only_what_is_meant_is_removed_and_only_after_a_yes(home: Path) -> None:
    before = {*home.rglob("*")}
    no = CliRunner().invoke(app, ["cache", "--empty"], input="n\n")
    assert no.exit_code == 1
    assert "remove features (1 entry, 1.0 KiB) and releases" in no.output
    assert {*home.rglob("*")} == before
    CliRunner().invoke(app, ["cache", "features", "--empty"], input="y\n")
    gone = before - {*home.rglob("*")}
    assert {path.relative_to(home).parts[:2] for path in gone} == {("features", "0123456789abcdef")}
    done = CliRunner().invoke(app, ["cache", "--empty", "--yes"])
    assert "removed: releases (1 entry, 1.0 KiB) and weights (1 entry, 2.0 KiB)" in done.output
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert left == {
        "features/my-own/notes.txt",
        "features/fedcba9876543210/mine.txt",
        "releases/my-model/config.json",
        "my-weights.pth",
    }
    assert "nothing to remove" in CliRunner().invoke(app, ["cache", "--empty"]).output


def test_the_files_of_a_link_stay(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / ABOUT).write_bytes(b"x")
    (home / "features" / "00000000000000aa").symlink_to(elsewhere)
    CliRunner().invoke(app, ["cache", "features", "--empty", "--yes"])
    assert (elsewhere / ABOUT).is_file()
    assert not (home / "features" / "00000000000000aa").is_symlink()
