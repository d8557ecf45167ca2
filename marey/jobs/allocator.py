"""The memory of a process that computes on the CPU: kept where it is freed, to be used again.

glibc gives every block of 32 MiB or more back to the system when it is freed, and asks for a new
one, page by page and filled with zeros, the next time. Maps of a batch are such blocks, and a step
of training makes hundreds of them.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>."""
_KEPT = (1 << 31) - 1
"""Bytes: the most that the call takes."""
_OLDER = 32 << 20
"""Bytes from which glibc before 2.36 always asks the system."""
_ASKED = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Have this process, and those that it starts from now on by fork, keep what it frees.

    It holds its peak until it ends. False, and nothing is changed, where the user has said how
    memory is to be kept, and where the C library is not glibc.
    """
    if any(name in os.environ for name in _ASKED):
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if set_option is None:
        return False
    if not set_option(_TRIM_THRESHOLD, _KEPT):
        return False
    return bool(set_option(_MMAP_THRESHOLD, _KEPT) or set_option(_MMAP_THRESHOLD, _OLDER))
