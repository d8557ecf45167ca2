"""Files that are either the old ones or the new ones, never half of one.

What is written goes into a draft beside the file, which takes its name when it is whole and safe on
the disk. Where that fails (a full disk, no permission) the error is that of the thing written: a
`Failure` makes it of the path and the reason, `manifest_error` for lists of clips and what is made
of clips, `run_error` for what runs and models write.
"""

from __future__ import annotations

import csv
import io
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TypeAlias

from marey.errors import ManifestError, MareyError, RunError

Failure: TypeAlias = Callable[[Path, str], MareyError]
"""Makes the error that says a path cannot be written, and why."""


def manifest_error(
    path: Path, reason: str, hint: str = "free space, or another folder"
) -> ManifestError:
    """A list of clips, or what is made of clips, cannot be written."""
    return ManifestError(f"cannot write {path}: {reason}", hint)


def run_error(
    path: Path, reason: str, hint: str = "free some space or give another folder"
) -> RunError:
    """What a run or a trained model writes cannot be written."""
    return RunError(f"{path} could not be written: {reason}", hint)


@contextmanager
def writing(path: Path, failure: Failure = manifest_error) -> Iterator[None]:
    """An `OSError` of the block is raised as the error that `failure` makes for `path`."""
    try:
        yield
    except OSError as error:
        raise failure(path, error.strerror or str(error)) from error


def make_folder(path: Path, failure: Failure = manifest_error) -> None:
    """Make a folder and those above it: where that is not possible, before the work for it."""
    with writing(path, failure):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def replacing(path: Path, failure: Failure = manifest_error) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends well, else leaves it alone.

    The folders above `path` are made. Raises what `failure` makes of an `OSError`.
    """
    _clear_drafts(path.parent)
    # process numbers repeat on the machines that share a disk
    draft = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.draft")
    with placing(draft, path, failure), draft.open("wb") as file:
        yield file


@contextmanager
def placing(draft: Path, path: Path, failure: Failure = manifest_error) -> Iterator[None]:
    """The block writes `draft`, a file or folder, which then takes the place of `path`.

    If the block fails the draft is removed and `path` left alone. A draft that an earlier process
    left behind is made anew, so the name must be that of one writer at a time.
    """
    with writing(path, failure):
        try:
            _remove(draft)
            for folder in (draft.parent, path.parent):
                folder.mkdir(parents=True, exist_ok=True)
            yield
            if draft.is_file():
                with draft.open("rb") as file:
                    os.fsync(file.fileno())  # else the name may be on the disk before the bytes
            if path.is_dir() and draft.is_dir():  # a file takes the place of no folder
                shutil.rmtree(path)
            draft.replace(path)
        finally:
            _remove(draft)


def refuse_existing(
    path: Path,
    error: type[MareyError] = RunError,
    *,
    overwrite: bool = False,
    another: str = "name",
) -> None:
    """Raise `error` if something lies at `path` that may not be replaced.

    So does each command that writes what a person has named; what it writes at its own place beside
    what it was made of is made anew.

    Args:
        overwrite: whether it may be replaced.
        another: what the remedy asks for, a name or a folder.
    """
    if path.exists() and not overwrite:
        remedy = f"give another {another}; --overwrite, or overwrite=True, replaces what is there"
        raise error(f"{path} is there already", remedy)


def write_text(path: Path, text: str, failure: Failure = manifest_error) -> None:
    """Write a text as UTF-8 in place of what `path` holds."""
    with replacing(path, failure) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_csv(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    failure: Failure = manifest_error,
) -> None:
    """Write a table with a header; None is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue(), failure)


@lru_cache(maxsize=1024)
def _clear_drafts(folder: Path) -> None:
    """Remove what killed processes left in a folder; looked for once in the life of this one.

    Of other machines nobody knows what runs there: their drafts go after a day.
    """
    for draft in folder.glob(".*.draft"):
        name, _, process = draft.name.removesuffix(".draft").rpartition(".")
        with suppress(OSError):  # it is gone, or not ours to remove
            if name.endswith(f".{platform.node()}") and process.isdecimal():
                is_left = not _is_running(int(process))
            else:
                is_left = time.time() - draft.stat().st_mtime > 24 * 3600
            if is_left:
                _remove(draft)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


def _remove(draft: Path) -> None:
    try:
        if draft.is_dir() and not draft.is_symlink():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    except OSError:  # the folder itself is gone or not ours: nothing of ours lies there
        return
