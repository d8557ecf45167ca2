from __future__ import annotations

from pathlib import Path

import pytest

from marey.engine import costs
from marey.models.encoders.resnet import ResNetSpec
from marey.models.video_model import Head, ModelSpec

SPEC = ModelSpec(ResNetSpec(18), num_segments=2, heads=(Head("label", 10),))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path))


def test_what_was_counted_is_not_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = costs.known_cost(SPEC, 32)
    monkeypatch.delattr(costs, "cost")
    assert costs.known_cost(SPEC, 32) == first


def test_another_size_or_other_code_is_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = costs.known_cost(SPEC, 32)
    assert costs.known_cost(SPEC, 64).gmacs > first.gmacs
    monkeypatch.setattr(costs, "_code", lambda: "changed")
    assert costs.known_cost(SPEC, 32) == first
    assert len(list(tmp_path.rglob("*.json"))) == 3


def test_a_damaged_file_is_counted_anew(tmp_path: Path) -> None:
    first = costs.known_cost(SPEC, 32)
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{")
    assert costs.known_cost(SPEC, 32) == first
