"""The worked example of docs/extending.md is written to files as it stands there, and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOC = Path(__file__).resolve().parents[1] / "docs" / "extending.md"


def test_the_worked_example_passes_its_own_tests(tmp_path: Path) -> None:
    text = DOC.read_text(encoding="utf-8")
    files = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["change.py", "test_change.py", "mine.py"]
    for name, source in files:
        (tmp_path / name).write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    words = ["mine.py", "train", "tsn-r18", "model.temporal=[change.Change]"]
    assert words[3] in text
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "data.train names no manifest" in done.stderr  # so the op is known


def test_every_file_it_points_to_exists() -> None:
    text = DOC.read_text(encoding="utf-8")
    for path in re.findall(r"`(marey/[\w/]+\.py)`", text):
        assert (DOC.parents[1] / path).is_file(), path
