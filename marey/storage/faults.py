"""Whose fault it is that a file cannot be read: its own, or that of what holds it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from marey.errors import DecodeError, StorageError

OWN_FAULTS = frozenset(
    {errno.EFBIG, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EOVERFLOW}
)
"""What is wrong with one name or one file, whatever becomes of the others."""
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})
CLOSED = frozenset({errno.EACCES, errno.EPERM})


READABLE = "may you read it? its permissions, and those of the folders above, decide"
MISSING = "is the path right, and of a manifest its root?"


def read_error(place: object, error: OSError, hint: str = "") -> DecodeError:
    """The error to raise for a file that the system or a store does not give.

    It is a `StorageError`, which blames no file, unless the file alone is missing or closed (its
    folder can be listed and holds others) or its name is at fault. In a store a file that is
    missing is that; nobody asks for its folder.

    Args:
        place: the path or url of the file.
        error: what became of the attempt.
        hint: what to do about it; by default what goes with what became of it.
    """
    hint = hint or (MISSING if error.errno in NOT_THERE else READABLE)
    kind = DecodeError if _is_own_fault(place, error.errno) else StorageError
    return kind(f"{place}: {error.strerror or error}", hint)


def _is_own_fault(place: object, code: int | None) -> bool:
    if code in OWN_FAULTS:
        return True
    if isinstance(place, Path):
        return code in NOT_THERE | CLOSED and holds_anything(place.parent)
    return code in NOT_THERE


def holds_anything(folder: Path) -> bool:
    """Whether something can be seen there: an empty folder may be one where nothing is mounted."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
