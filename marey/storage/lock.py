"""A file that one process at a time holds, on this machine or, on a shared disk, on any.

The operating system lets go of it when the process ends, however it ends: a lock that was left
behind does not exist. The file itself stays; it is empty and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from marey.errors import RunError


class Held(RunError):
    """Another process holds the lock: what this one was about to do is being done."""


@contextmanager
def locked(path: Path, doing: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` during the block; `Held` if another does, longer than waited for.

    doing: what the holder does, as in "prepares /data/ssv2". `wait_seconds` -1 waits without end.
    """
    lock = FileLock(path, timeout=wait_seconds)
    try:
        lock.acquire()
    except Timeout as error:
        raise Held(f"another process {doing}", "wait for it, or end it") from error
    except (OSError, NotImplementedError) as error:
        raise RunError(
            f"cannot lock {path}: {error}", "give a folder that can be written and has locks"
        ) from error
    try:
        yield
    finally:
        lock.release()
