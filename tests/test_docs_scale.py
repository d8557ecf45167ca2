"""The commands in docs/scale.md run as written, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marey.engine.train.loop import train
from tests.test_docs import DOCS, commands, run
from tests.tiny import tiny_recipe, write_set

TEXT = (DOCS / "scale.md").read_text(encoding="utf-8")


def test_commands_about_scale_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = write_set(tmp_path / "clips", per_class=1, val_per_class=3)
    train(tiny_recipe(manifest, epochs=1), Path("runs/tsn-r18"), device="cpu", quiet=True)
    monkeypatch.setattr("marey.engine.inference.jobs.PART_ROWS", 2)
    said = [run(command) for command in commands("scale.md")]
    waits = [" when " in text for text in said]
    assert waits == [False, *[True, False] * 4]
    assert ["written:" in text for text in said] == [not wait for wait in waits]
    assert Path("features.arrow").exists()
    (example,) = re.findall(r"^```python\n(.*?read_table.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    exec(example, {})
    assert len(capsys.readouterr().out.splitlines()) == 16


def test_the_table_of_batch_files_is_that_of_the_folder() -> None:
    listed = set(re.findall(r"`(\w+\.sbatch)`", TEXT))
    assert listed == {path.name for path in (DOCS.parent / "examples" / "slurm").iterdir()}
