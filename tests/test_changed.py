"""`pytest --changed` runs the tests of what differs from main, and no others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.changed import changed_files, chosen_tests

TESTS = (
    "marey/models/sites.py",
    "tests/benchmarks/test_rows.py",
    "tests/data/manifest/test_read.py",
    "tests/models/encoders/test_i3d.py",
    "tests/models/test_sites.py",
    "tests/test_cli.py",
    "tests/test_docs_scale.py",
    "tests/test_imports.py",
    "tests/test_readme.py",
)


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("marey/data/manifest/columns.py", ["tests/data/manifest/test_read.py"]),
        ("marey/models/sites.py", ["marey/models/sites.py", "tests/models/test_sites.py"]),
        ("marey/cli/train.py", ["tests/test_cli.py"]),
        ("benchmarks/rows.py", ["tests/benchmarks/test_rows.py"]),
        ("docs/scale.md", ["tests/test_docs_scale.py"]),
        ("README.md", ["tests/test_readme.py"]),
        ("tests/models/encoders/test_i3d.py", ["tests/models/encoders/test_i3d.py"]),
        ("Makefile", []),
    ],
)
def test_a_change_runs_the_tests_beside_it(changed: str, tests: list[str]) -> None:
    assert chosen_tests([changed], TESTS) == {*tests, "tests/test_imports.py"}


def test_committed_edited_and_new_files_differ_from_main(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-b", "main")
    for name in ("same.py", "edited.py"):
        (tmp_path / name).write_text("1\n")
    git("add", ".")
    git("commit", "-m", "first")
    git("checkout", "-b", "work")
    (tmp_path / "committed.py").write_text("1\n")
    git("add", ".")
    git("commit", "-m", "second")
    (tmp_path / "edited.py").write_text("2\n")
    (tmp_path / "new.py").write_text("1\n")
    assert sorted(changed_files(tmp_path)) == ["committed.py", "edited.py", "new.py"]
