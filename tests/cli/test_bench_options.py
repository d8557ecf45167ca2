"""`marey bench` takes what the other commands take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from tests.tiny import write_set


@pytest.mark.parametrize("what", ["data", "end2end"])
def test_paths_start_at_the_root(what: str, tmp_path: Path) -> None:
    beside = write_set(tmp_path / "clips", per_class=1, val_per_class=1)
    elsewhere = beside.rename(tmp_path / "list.csv")
    words = f"bench {what} {elsewhere} --clips 2 -b 1 -j 0 --json --root {tmp_path / 'clips'}"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["unreadable"] == 0
    assert json.loads(done.stdout)["clips"] > 0
