"""The commands in docs/metrics.md run, and its table is what is counted elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from marey.engine.train.loop import train
from marey.metrics.catalog import METRICS
from marey.metrics.groups import RULES
from marey.metrics.longtail import ALL
from tests.test_docs import DOCS, commands, run
from tests.tiny import tiny_recipe, write_set


def test_commands_about_metrics_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = Path("my-data/manifest.csv")
    write_set(data.parent, per_class=22, val_per_class=1)
    lines = [command for command in commands("metrics.md") if "--epic-lists" not in command]
    evaluation, tails = lines[:3], lines[3:]
    said = [run(command) for command in tails]
    assert "F 50.0 %" in said[1]
    tail = Path("runs", "tail")
    train(tiny_recipe(data.with_name("tail.csv"), epochs=1, batch_size=16), tail, quiet=True)
    run("marey eval runs/tail")
    shutil.copytree(tail, tail.with_name("all"))
    said = [run(command) for command in evaluation]
    assert "groups of label by paper" in said[0]
    assert "groups of label by release" in said[1]


def test_every_rule_is_in_the_table() -> None:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    assert all(f"| `{name}`" in text for name in RULES)


def test_every_metric_of_all_classes_is_in_the_table() -> None:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    keys = [row.key for row in METRICS if row.measure and row.group == ALL]
    assert [key for key in keys if f"`{key}`" not in text] == []
