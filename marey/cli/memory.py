"""Memory that ran out, told from other errors whatever library ran into it."""

from __future__ import annotations

import errno
import re
import sys

_SAYS_SO = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|out of memory|bad_alloc"
    r"|could not create a (primitive|memory)|can't start new thread|MemoryError"
    r"|failed to map segment|unable to allocate",
    re.IGNORECASE,
)
"""In the words of torch's allocators, the system, C++, oneDNN, threads, a worker, the linker."""
HINT = (
    "lower --batch-size, --workers or the threads (OMP_NUM_THREADS=1), or give it more memory"
    " (ulimit -v, a container's limit)"
)


LEAST_BYTES = 1 << 30
"""Below it PyTorch does not load, and some libraries crash where they are refused memory."""
MAY_BE = (MemoryError, RuntimeError, OSError, ImportError, SystemError)
"""What `ran_out` knows."""


def too_little() -> str:
    """Why this process cannot begin, if a limit leaves it less than `LEAST_BYTES`; else empty."""
    if sys.platform == "win32":
        return ""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= LEAST_BYTES:
        return ""
    return f"{limit >> 20:,} MiB is the limit, marey needs {LEAST_BYTES >> 20:,} at least"


def ran_out(error: BaseException) -> str:
    """What could not be had, in a line; empty if `error` is of something else.

    >>> ran_out(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
    "DefaultCPUAllocator: can't allocate memory: you tried ..."
    >>> ran_out(ValueError("out of memory"))
    ''
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, MemoryError):
        return lines[-1]
    if isinstance(error, SystemError):  # Python, where it has none to make an error of
        return lines[0] if "without exception set" in lines[0] else ""
    if isinstance(error, OSError):
        return lines[0] if error.errno == errno.ENOMEM or _SAYS_SO.search(str(error)) else ""
    if isinstance(error, RuntimeError | ImportError):
        return next((line.strip() for line in lines if _SAYS_SO.search(line)), "")
    return ""
