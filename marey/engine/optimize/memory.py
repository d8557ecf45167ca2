"""By how much the process grows at most while something runs."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def growth(work: Callable[[], T], device: torch.device) -> tuple[T, int | None]:
    """What `work` gives, and by how many bytes the process, or a card, grew at most meanwhile.

    None where the system does not tell: on a CPU only Linux does.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        made = work()
        return made, torch.cuda.max_memory_allocated(device) - before
    if not _CLEAR.exists():
        return work(), None
    _give_back()
    _CLEAR.write_text("5", encoding="ascii")  # the peak counts from here
    before = _bytes("VmRSS")
    made = work()
    return made, max(0, _bytes("VmHWM") - before)


def _give_back() -> None:
    """Have the allocator return what it holds free, which would hide what is taken next."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim:
        trim(0)


def _bytes(entry: str) -> int:
    found = re.search(rf"^{entry}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    assert found, f"Linux has {entry} for every process"
    return 1024 * int(found[1])
