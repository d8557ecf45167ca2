"""The notebook runs from its first cell to its last, without Jupyter and without a download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.changed import ROOT

NOTEBOOK = ROOT / "docs" / "first-hour.ipynb"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], f"{cell['id']}: kept without its outputs"
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert names["page"].is_file()
    assert 0 <= names["low"] <= names["top1"] <= names["high"] <= 100
    ends = [segment.end for segment in names["segments"]]
    assert ends == sorted(ends)
