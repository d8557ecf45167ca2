"""Rows have the keys that were promised, and the table shows the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.paired import Timing
from benchmarks.rows import report, row, table, write

OURS = Timing(wall=(2.0,) * 7, cpu=(1.0,) * 7, output=None)
THEIRS = Timing(wall=(12.0,) * 7, cpu=(4.0,) * 7, output=None)


def test_rows_and_the_machine_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row("tsm", "fused", OURS, THEIRS, max_error=1e-7, gmacs=32.7)]
    write("gpu", rows, tmp_path / "rows.json", {"parts": {"memory": "left out"}})
    report("inference", rows, tmp_path / "shown.json", {"tsm, compiled": "no compiler"})
    written = json.loads((tmp_path / "rows.json").read_text())
    assert written["rows"] == [
        {
            "model": "tsm",
            "mode": "fused",
            "ratio": 4.0,
            "max_error": 1e-7,
            "cpu_seconds": 1.0,
            "reference_cpu_seconds": 4.0,
            "wall_seconds": 2.0,
            "reference_wall_seconds": 12.0,
            "rounds": 7,
            "gmacs": 32.7,
        }
    ]
    assert written["parts"] == {"memory": "left out"}
    machine = written["machine"]
    assert machine["processor"]
    assert machine["instruction_sets"]
    assert machine["versions"]["torch"]
    shown = json.loads((tmp_path / "shown.json").read_text())
    assert shown["rows"] == written["rows"]
    assert shown["left_out"] == {"tsm, compiled": "no compiler"}
    output = capsys.readouterr().out
    assert "fused" in output
    assert "left out: tsm, compiled: no compiler" in output
    assert "fewer than" not in output


def test_that_rounds_are_few_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    few = Timing(wall=(2.0,) * 3, cpu=(1.0,) * 3, output=None)
    report("inference", [row("tsm", "fused", few, few)], None, {})
    assert "fewer than 7 rounds: tsm (3)" in capsys.readouterr().out


def test_on_a_gpu_the_wall_decides() -> None:
    assert row("tsm", "bf16", OURS, THEIRS, device="cuda").ratio == 6


def test_the_table_has_a_column_of_what_only_some_rows_say() -> None:
    rows = [row("a", "plain", OURS, THEIRS), row("b", "plain", OURS, THEIRS, saved_bytes=12)]
    console = Console(width=200)
    with console.capture() as shown:
        console.print(table(rows))
    assert "saved bytes" in shown.get()
    assert "12" in shown.get()
