"""How much memory a process may use: what the machine has, or the limit of its cgroup or shell."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from marey.jobs.cores import cgroup_folders


def memory_bytes(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The least of the machine's main memory, what its cgroups leave, and `ulimit -v`; in bytes.

    0 where nothing says it.
    """
    newer, older = cgroup_folders("memory", cgroups)
    files = (
        *(folder / "memory.max" for folder in newer),
        *(folder / "memory.limit_in_bytes" for folder in older),
    )
    known = (_of_the_machine(), _of_the_shell(), *map(_limit_in, files))
    return min((number for number in known if number), default=0)


def _of_the_machine() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return 0


def _of_the_shell() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return 0 if limit == resource.RLIM_INFINITY else limit


def _limit_in(file: Path) -> int:
    """The number that a file of a cgroup holds; 0 for ``max``, and where there is none."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0
