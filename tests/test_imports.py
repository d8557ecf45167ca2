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


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh Python has after `code`, beyond those that it starts with."""
    code = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_marey_itself_loads_next_to_nothing() -> None:
    loaded = loaded_by("import marey")
    assert {name for name in loaded if name.startswith("marey")} <= {
        "marey",
        "marey.moved",
        "marey.version",
    }
    assert not {"torch", "numpy", "rich", "typer", "pydantic", "yaml"} & loaded


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by("import marey.cli.app")
    heavy = {"torch", "numpy", "pyarrow", "av", "pydantic", "yaml", "safetensors", "fsspec"}
    assert not heavy & loaded
    assert not {name for name in loaded if name.startswith(("marey.engine", "marey.models"))}


def test_a_first_prediction_loads_no_compiler_and_no_parquet() -> None:
    loaded = loaded_by(
        "import torch, marey.engine.inference.predict\n"
        "from marey.models import TAM, TSM, ModelSpec, ResNetSpec\n"
        "for op in (TSM(), TAM()):\n"
        "    spec = ModelSpec(ResNetSpec(18), (op,), num_segments=2)\n"
        "    with torch.inference_mode(): spec.build().eval().encode(torch.rand(1, 2, 3, 32, 32))"
    )
    assert "torch" in loaded
    slow = {"torch._dynamo", "torch._inductor", "sympy", "pyarrow.parquet", "pandas", "scipy"}
    assert not slow & loaded


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
