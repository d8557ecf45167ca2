"""`pip install marey[deploy]` brings no torchvision: nothing that it brings requires it."""

from __future__ import annotations

import importlib.metadata as metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def brought_by(requirements: list[str]) -> dict[str, str]:
    """Name -> what requires it, of all that is brought; of what is not installed the name alone."""
    found: dict[str, str] = {}
    todo = [(Requirement(each), "marey") for each in requirements]
    while todo:
        wanted, by = todo.pop()
        extras = wanted.extras or {""}
        if wanted.marker and not any(wanted.marker.evaluate({"extra": one}) for one in extras):
            continue
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found[name] = by
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in needs:
            need = Requirement(text)
            if not need.marker or any(need.marker.evaluate({"extra": one}) for one in extras):
                todo.append((need, name))
    return found


def test_what_deploys_needs_no_torchvision() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    deploy = project["optional-dependencies"]["deploy"]
    found = brought_by([*project["dependencies"], *deploy])
    assert "torchvision" not in found, f"{found['torchvision']} requires it"
    assert {"torch", "onnx-ir", "ml-dtypes", "openvino-telemetry"} & found.keys(), "nothing is read"
    if absent := [each for each in found if not is_installed(each)]:
        pytest.skip(f"not known of what is not installed: {', '.join(absent)}")


def is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
