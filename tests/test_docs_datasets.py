"""The commands in docs/datasets.md run as written; its table names every data set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marey.data.datasets.catalog import DATASETS
from tests.test_docs import DOCS, commands, run
from tests.tiny import write_clip

GESTURES = [*(f"Gesture {number}" for number in range(26)), "No gesture"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jester with two training clips and one for validation, and the spreadsheet's error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jester" / "20bn-jester-v1").mkdir(parents=True)
    for name in ("1", "2", "3"):
        write_clip(tmp_path / "jester" / "20bn-jester-v1" / f"{name}.mp4", int(name))
    labels = tmp_path / "jester" / "labels"
    labels.mkdir()
    (labels / "jester-v1-labels.csv").write_text("\n".join(GESTURES) + "\n")
    (labels / "jester-v1-train.csv").write_text("1;Gesture 0\n2;Gesture 3\nErr:522,\n")
    (labels / "jester-v1-validation.csv").write_text("3;Gesture 0\n")
    return tmp_path


def test_commands_about_data_sets_run_in_order(folder: Path) -> None:
    listed, prepared, described = (run(command) for command in commands("datasets.md"))
    assert "downloads none of them" in listed
    assert "written: prepared/manifest.csv" in prepared
    assert "3 (train 2, val 1)" in described
    assert "Err:522" in (folder / "prepared" / "rejects.csv").read_text()


def test_every_data_set_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", (DOCS / "datasets.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert {dataset.name for dataset in DATASETS} <= named
