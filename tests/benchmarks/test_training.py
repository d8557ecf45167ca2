"""Modes of training are compared with the reference: the same gradients, and counted memory."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.training import main


def test_rows_of_a_step_have_the_gradient_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    few = ["--models=tsm-r50", "--size=32", "--clips=2", "--rounds=1"]
    modes = ["plain", "checkpointed", "recomputed", "fused-optimizer"]
    main([*few, "--modes", *modes, f"--json={path}"])
    rows = {row["mode"]: row for row in json.loads(path.read_text())["rows"]}
    assert list(rows) == modes
    assert all(row["max_error"] < 1e-4 and row["ratio"] > 0 for row in rows.values())
    assert all(row["gradient_error"] < 0.2 for row in rows.values())
    assert rows["checkpointed"]["kept_bytes"] < rows["plain"]["kept_bytes"] / 2
    assert rows["recomputed"]["kept_bytes"] < rows["plain"]["kept_bytes"] * 0.9
    assert rows["plain"]["peak_bytes"] > rows["plain"]["kept_bytes"]
