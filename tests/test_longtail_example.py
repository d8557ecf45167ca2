"""examples/longtail_evidence.py trains every method from one start, and each run only once."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "longtail_evidence.py"
TRAINED = (60, 22, 3)


def write_clips(folder: Path) -> Path:
    """Features of three classes, of unequal numbers of training clips; returns their manifest."""
    rng, lines = np.random.default_rng(0), ["path,label,split"]
    for label, count in enumerate(TRAINED):
        for number in range(count + 4):
            name = f"{label}_{number}.npy"
            np.save(folder / name, rng.normal(np.eye(3, 8)[label], 0.2, (1, 8)).astype(np.float32))
            lines.append(f"{name},{label},{'train' if number < count else 'val'}")
    manifest = folder / "clips.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def test_the_table_of_methods_has_a_line_of_each_and_gains_over_crt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(SCRIPT))
    for name in set(script["STAGES"]) - {"cRT", "LMR, paper"}:
        del script["STAGES"][name]
    words = [str(tmp_path / "runs"), str(write_clips(tmp_path))]
    script["main"](words)
    first = capsys.readouterr().out
    crt, lmr = (line.split(" | ") for line in first.splitlines()[2:])
    assert (crt[0], crt[-1]) == ("| cRT", "0.0 |")
    assert lmr[0] == "| LMR, paper"
    (tmp_path / "clips.csv").unlink()  # what is trained is only read
    script["main"](words)
    assert capsys.readouterr().out == first
