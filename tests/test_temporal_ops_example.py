"""examples/temporal_ops.py trains what it says, and what is trained already only once."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.tiny import write_set

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "temporal_ops.py"


def test_the_table_of_temporal_ops_has_a_line_of_every_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(SCRIPT))
    models = script["MODELS"]
    for name in set(models) - {"TSN", "bLVNet-TAM"}:
        del models[name]
    sizes = ["--seeds=2", "--epochs=1", "--segments=2", "--size=32"]
    words = [str(write_set(tmp_path / "set")), str(tmp_path / "runs"), *sizes]
    script["main"](words)
    first = capsys.readouterr().out
    assert [line.split(" |")[0] for line in first.splitlines()[-2:]] == ["| TSN", "| bLVNet-TAM"]
    (tmp_path / "set" / "manifest.csv").unlink()  # what is trained is only read
    script["main"](words)
    assert capsys.readouterr().out == first
