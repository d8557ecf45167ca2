"""How much memory a process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from marey.jobs import memory
from marey.jobs.memory import memory_bytes


def test_the_least_of_machine_and_cgroups_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, whole = tmp_path / "a" / "b", memory_bytes(tmp_path)
    assert 1 << 30 < whole <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(memory, "cgroup_folders", lambda *_: ([own, tmp_path / "a"], []))
    own.mkdir(parents=True)
    (own / "memory.max").write_text("max\n")
    assert memory_bytes(tmp_path) == whole
    (tmp_path / "a" / "memory.max").write_text("1000000\n")
    assert memory_bytes(tmp_path) == 1_000_000
