"""A file that one process at a time holds, on this machine or, on a shared disk, on any.

The operating system lets go of it when the process ends, however it ends: a lock that was left
behind does not exist, and no time has to be waited for, as with a file that names its holder. It is
flock, which Linux passes on to the server of a network file system (NFS; Lustre mounted with
`flock`). Processes that the holder has forked let go of it as the first thing they do: a loader
worker that hangs on a disk may outlive a run, and never writes. The file itself stays; it is empty
and says nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from marey.errors import RunError

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Held(RunError):
    """Another process holds the lock: what this one was about to do is being done."""


class NoLocks(RunError):
    """The disk has no locks (Lustre that was mounted without them): nobody can be kept out."""


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
        without = not isinstance(error, OSError) or error.errno in _WITHOUT_LOCKS
        raise (NoLocks if without else RunError)(
            f"cannot lock {path}: {error}", "give a folder that can be written and has locks"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_if_possible(path: Path, doing: str) -> Iterator[str]:
    """As `locked`, but on a disk without locks go on: it gives the sentence to be said then."""
    note = ""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, doing))
        except NoLocks as error:
            note = f"{error.message}: nothing keeps out another process that {doing}"
        yield note
