"""Where the cache is."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.engine.inference.encoded import features_folder
from marey.engine.weights.published import cache_folder


def test_weights_and_features_lie_in_one_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("MAREY_WEIGHTS", raising=False)
    monkeypatch.delenv("MAREY_CACHE")
    home = Path("/home/me/.cache/marey")
    assert (cache_folder(), features_folder()) == (home, home / "features")
    monkeypatch.setenv("MAREY_CACHE", "~/kept")
    kept = Path("/home/me/kept")
    assert (cache_folder(), features_folder()) == (kept, kept / "features")
    monkeypatch.setenv("MAREY_WEIGHTS", "/weights")
    assert (cache_folder(), features_folder()) == (Path("/weights"), kept / "features")
