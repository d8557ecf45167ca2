"""The wheel holds all that is needed: in a fresh environment of its own, marey runs from it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.changed import ROOT

MODULES = (
    "import importlib, pkgutil, marey\n"
    "for m in pkgutil.walk_packages(marey.__path__, 'marey.'):\n"
    "    if not m.name.endswith('__main__'):\n"
    "        importlib.import_module(m.name)\n"
    "print(marey.__file__)\n"
)


def run(*words: str | Path, cwd: Path) -> str:
    """What a command prints; a failure shows all that it printed."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=cwd, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> set[Path]:
    """All but what Python compiled."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder) for path in found}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, made of the source distribution of what git tracks.

    What marey needs is that of this environment: it was just installed, and is a gigabyte.
    """
    tmp = tmp_path_factory.mktemp("wheel")
    tracked = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            copy = tmp / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    build = ("-m", "build", "--no-isolation", "--outdir", tmp / "dist", tmp / "source")
    run(sys.executable, *build, cwd=tmp)
    (wheel,) = (tmp / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp / "env", cwd=tmp)
    python = tmp / "env" / "bin" / "python"
    where = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp).strip()
    )
    install = ("install", "--no-deps", "--no-index", "--quiet", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=tmp)
    (where / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return tmp / "env"


def test_all_files_of_the_package_are_in_the_wheel(installed: Path) -> None:
    (package,) = installed.glob("lib/*/site-packages/marey")
    assert files(package) == files(ROOT / "marey")
    assert not (package.parent / "benchmarks").exists()


def test_marey_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    imported = run(installed / "bin" / "python", "-c", MODULES, cwd=tmp_path)
    assert Path(imported.strip()).is_relative_to(installed)
    assert "Usage: marey" in run(installed / "bin" / "marey", "--help", cwd=tmp_path)
