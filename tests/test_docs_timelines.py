"""The commands in docs/timelines.md parse, and those of the lists run on the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.data.manifest.read import read_manifest
from tests.test_docs import commands, run
from tests.test_docs_seeds import parsed

PAGE = "timelines.md"


def test_every_command_parses() -> None:
    names = {parsed(command)[0] for command in commands(PAGE)}
    assert names == {"predict", "eval", "data prepare", "data init", "train"}


def test_the_lists_of_falls_become_folds_of_people(
    shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "falls").symlink_to(shared_dir / "data" / "falls")
    prepare, init = (command for command in commands(PAGE) if command.startswith("marey data"))
    assert "6 faults in all" in run(f"{prepare} --no-probe")
    run(f"{init} --no-near-duplicates --no-probe")
    clips = read_manifest(Path("people/manifest.csv"))
    assert clips.fold_counts() == {0: 6, 1: 4, 2: 4, 3: 4}
    assert clips.folds is not None
    assert clips.groups is not None
    assert len(set(zip(clips.folds.tolist(), clips.groups.to_pylist(), strict=True))) == 4
