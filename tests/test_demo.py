"""The main job, as `make demo` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marey.engine.demo import run_demo
from marey.errors import RunError
from tests.fresh import HANG_SECONDS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_shows_that_order_matters(tmp_path: Path) -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "marey", "demo", "--out", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(f"took {time.monotonic() - start:.0f} s\n{done.stdout}")
    top1 = {
        name: float(value)
        for name, value in re.findall(r"│ (demo-ts[nm]) +│ +(\d+\.\d)", done.stdout)
    }
    ceiling = float(re.search(r"at most (\d+) %", done.stdout)[1])  # type: ignore[index]
    assert ceiling == 50
    assert top1["demo-tsm"] > 90
    assert ceiling - 15 < top1["demo-tsn"] < ceiling + 5
    for page in ("demo-tsm/report.html", "comparison.html"):
        assert (tmp_path / "demo" / page).stat().st_size > 10_000


def test_the_demo_writes_over_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is not empty"):
        run_demo(tmp_path)
    with pytest.raises(RunError, match="/file is a file that is there already"):
        run_demo(tmp_path / "file")
