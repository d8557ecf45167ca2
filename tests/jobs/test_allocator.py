from __future__ import annotations

import subprocess
import sys

import pytest

from marey.jobs.allocator import keep_freed_memory

FAULTS = """
import resource
import numpy as np
from marey.jobs.allocator import keep_freed_memory

kept = {}
if kept is not False:
    np.full(1 << 24, 1.0, np.float32)  # 64 MiB, freed at once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.full(1 << 24, 1.0, np.float32)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(kept: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", FAULTS.format(kept)], capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def test_what_is_freed_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    if not (kept := faults("keep_freed_memory()")):
        pytest.skip("the C library has no such setting")
    assert int(kept) < int(faults("None")) / 10


def test_what_the_user_says_of_memory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not keep_freed_memory()
