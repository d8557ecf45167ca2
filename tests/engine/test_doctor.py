from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from marey.engine import doctor

OF_MAREY_ITSELF = {"dev", "docs"}


def test_every_extra_is_looked_for() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        name: tuple(re.match(r"[\w-]+", line)[0] for line in lines)  # type: ignore[index]
        for name, lines in project["optional-dependencies"].items()
    }
    assert {name: extras[name] for name in extras.keys() - OF_MAREY_ITSELF} == doctor.EXTRAS


def test_what_is_there_is_said_and_how_to_get_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        return "" if name in ("peft", "ray") else "1.2"

    monkeypatch.setattr(doctor, "installed", installed)
    facts = doctor.facts()
    assert facts["[hf]"] == "no peft: pip install 'marey[hf]'"
    assert facts["[hdf5]"] == "h5py 1.2"
    assert facts["devices"].startswith("cpu")
    assert "h264" in facts["codecs"].split(", ")
    assert {"instructions", "cores", "torch"} <= facts.keys()
