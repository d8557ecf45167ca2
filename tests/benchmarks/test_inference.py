"""Forms of a model are compared with the reference, and what is not known is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.inference import main

FEW = ["--size=64", "--rounds=1", "--seconds=0"]


def test_rows_of_a_model_have_the_logits_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    main(["--models=tsm-mobilenetv2", "--modes", "plain", "fused", *FEW, f"--json={path}"])
    rows = json.loads(path.read_text())["rows"]
    assert [(row["model"], row["mode"]) for row in rows] == [
        ("tsm-mobilenetv2", "plain"),
        ("tsm-mobilenetv2", "fused"),
    ]
    for row in rows:
        assert row["max_error"] < 1e-5
        assert row["ratio"] == row["reference_cpu_seconds"] / row["cpu_seconds"] > 0
        assert 0 < row["peak_share"] < 2


def test_a_model_that_is_not_compared_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--models=i3d"])
    assert "invalid choice: 'i3d'" in capsys.readouterr().err
