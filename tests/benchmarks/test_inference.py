"""Forms of a model are compared with the reference, and what is not known is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.inference import FORMS, main
from marey.engine.runtimes import catalog

FEW = ["--models=tsm-mobilenetv2", "--size=64", "--rounds=1", "--seconds=0"]


def test_rows_of_a_model_have_the_logits_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    main([*FEW, "--forms", "plain", "fused", "bf16", f"--json={path}"])
    written = json.loads(path.read_text())
    rows = {row["mode"]: row for row in written["rows"]}
    assert list(rows)[:2] == ["plain", "fused"]
    for mode in ("plain", "fused"):
        row = rows[mode]
        assert row["max_error"] < 1e-5
        assert row["agreement"] == 100
        assert row["ratio"] == row["reference_cpu_seconds"] / row["cpu_seconds"] > 0
        assert 0 < row["peak_share"] < 2
    assert rows["fused"]["peak_ratio"] < rows["plain"]["peak_ratio"] <= 1
    assert "bf16" in rows or "tsm-mobilenetv2, bf16" in written["left_out"]


def test_optimize_takes_the_fastest_that_keeps_what_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    main([*FEW, "--forms", "plain", "fused", f"--json={path}"])
    plain, fused, exact, close = json.loads(path.read_text())["rows"]
    assert (exact["mode"], close["mode"]) == ("optimize, exact", "optimize, close")
    taken = {"plain": plain, "fused": fused}[exact["form"]]
    assert exact["ratio"] == taken["ratio"] >= max(plain["ratio"], fused["ratio"]) / 1.03


def test_what_there_is_no_time_for_is_left_out_by_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    main([*FEW, "--rounds=3", "--minutes=0", "--forms", "plain", "fused", f"--json={path}"])
    written = json.loads(path.read_text())
    assert written["left_out"] == {"tsm-mobilenetv2, fused": "no time was left for it"}
    assert {(row["mode"], row["rounds"]) for row in written["rows"]} == {
        ("plain", 1),
        ("optimize, exact", 1),
        ("optimize, close", 1),
    }


def test_every_form_but_those_of_a_card_can_be_asked_for() -> None:
    cpu = torch.device("cpu")
    others = [form for form in catalog.FORMS if form.name not in FORMS]
    assert {form.name for form in catalog.FORMS} >= set(FORMS)
    assert all("needs a CUDA device" in form.missing(cpu) for form in others)


def test_a_model_that_is_not_compared_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--models=i3d"])
    assert "invalid choice: 'i3d'" in capsys.readouterr().err
