"""Which tests `pytest --changed` runs: those of the rooms that differ from the branch main.

Tests lie where the code they test lies: a change in ``marey/data/lists`` runs ``tests/data/lists``
and the doctests of the changed files. What reaches across rooms is for `make test`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
ALWAYS = "tests/test_imports.py"


def changed_files(root: Path = ROOT) -> list[str]:
    """Paths below `root` that are new, or differ from where this branch left main."""
    base = _git(root, "merge-base", "HEAD", "main") or ["HEAD"]
    different = _git(root, "diff", "--name-only", base[0])
    return different + _git(root, "ls-files", "--others", "--exclude-standard")


def chosen_tests(changed: Iterable[str], tests: Iterable[str]) -> set[str]:
    """The paths among `tests` (of test files and of modules with doctests) that `changed` asks for.

    >>> sorted(chosen_tests(["marey/data/lists/lists.py"], [
    ...     "marey/data/lists/lists.py", "tests/data/lists/test_lists.py", "tests/test_cli.py",
    ... ]))
    ['marey/data/lists/lists.py', 'tests/data/lists/test_lists.py']
    """
    changed = set(changed)
    rooms = {_tests_beside(PurePosixPath(path)) for path in changed} - {None}
    return {
        test
        for test in tests
        if test in changed or test == ALWAYS or any(test.startswith(f"{room}") for room in rooms)
    }


def _tests_beside(path: PurePosixPath) -> str | None:
    """What the paths of the tests of `path` begin with; nothing for a test itself."""
    match path.parts:
        case ("marey", "cli", *_):
            return "tests/test_cli"
        case ("marey", *_, _):
            return "/".join(("tests", *path.parent.parts[1:], "test_"))
        case ("benchmarks", *_, _):
            return "/".join(("tests", *path.parent.parts, "test_"))
        case ("docs", *_) | ("README.md",):
            return "tests/test_docs" if path.parts[0] == "docs" else "tests/test_readme"
    return None


def _git(root: Path, *words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []
