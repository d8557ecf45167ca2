"""Temporary folders that do not outlive a process, however it ends.

A process that is killed (SIGKILL, no memory left) removes nothing. So its folders hold a file that
it has locked, a lock that the operating system lets go of with the process; whoever claims a folder
next removes those whose lock nobody has. Where there is no flock (Windows, some disks) nothing is
marked, and what was left stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

MARK = ".marey-in-use"
"""Of a folder that is gone with the process that holds its lock."""
_held: dict[Path, int] = {}


@contextmanager
def temporary_folder(name: str, within: Path | None = None) -> Iterator[Path]:
    """A new folder for this user alone, `marey-NAME-...`, which is gone after the block.

    It lies `within` a folder, by default the system's for temporary files. If the process is killed
    in the block, the next that makes such a folder there removes it.
    """
    with TemporaryDirectory(
        prefix=f"marey-{name}-", dir=within, ignore_cleanup_errors=True
    ) as made:
        folder = Path(made)
        claim(folder)
        try:
            yield folder
        finally:
            _let_go(folder)


def claim(folder: Path) -> None:
    """Say that a folder goes with this process, and remove those beside it whose process is dead.

    One that is claimed already stays its owner's: processes share the folder of multiprocessing.
    """
    if fcntl is None or (folder / MARK).exists():
        return
    _remove_left(folder.parent)
    draft = folder / f"{MARK}-draft"
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    if not _lock(handle):
        os.close(handle)
        draft.unlink()
        return
    draft.rename(folder / MARK)  # only now others look at it, and it is locked already
    _held[folder] = handle


def _remove_left(within: Path) -> None:
    for mark in (*within.glob(f"marey-*/{MARK}"), *within.glob(f"pymp-*/{MARK}")):
        with suppress(OSError):  # gone meanwhile
            if mark.parent.lstat().st_uid == os.getuid():  # others could plant links
                _remove_if_left(mark)


def _remove_if_left(mark: Path) -> None:
    handle = os.open(mark, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        if _lock(handle):
            shutil.rmtree(mark.parent, ignore_errors=True)
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another has it, or the disk has none
        return False
    return True


def _let_go(folder: Path) -> None:
    if handle := _held.pop(folder, None):
        os.close(handle)
