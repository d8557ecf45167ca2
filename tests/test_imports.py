"""What importing costs and needs."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys

import marey

EXTRAS = ("torchvision", "timm", "lightning", "torchcodec", "tensorboard", "matplotlib", "PIL")


def test_every_module_imports_without_any_extra() -> None:
    names = [m.name for m in pkgutil.walk_packages(marey.__path__, "marey.")]
    assert "marey.engine.train.loop" in names
    names.remove("marey.__main__")  # it runs the command
    code = (
        f"import sys\nfor extra in {EXTRAS!r}: sys.modules[extra] = None\n"
        f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_are_there_and_others_are_not() -> None:
    for name in marey.__all__:
        assert callable(getattr(marey, name))
    assert not hasattr(marey, "nothing")


def test_help_takes_less_than_half_a_second() -> None:
    seconds = []
    for _ in range(3):  # of processor time: other tests run beside this one
        before = os.times()
        subprocess.run([sys.executable, "-m", "marey", "--help"], capture_output=True, check=True)
        after = os.times()
        user = after.children_user - before.children_user
        seconds.append(user + after.children_system - before.children_system)
    assert min(seconds) < 0.5


def test_help_does_not_load_torch() -> None:
    code = "import sys, marey.cli.app; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_looks_at_data_does_not_load_torch() -> None:
    names = (
        "checks.check",
        "lists.lists",
        "own_videos.init",
        "packs.pack_clips",
        "prepare.prepare",
    )
    code = "import sys, {}; assert 'torch' not in sys.modules"
    code = code.format(", ".join(f"marey.data.{name}" for name in names))
    subprocess.run([sys.executable, "-c", code], check=True)
