"""Files that are either the old ones or the new ones, never half of one."""

from __future__ import annotations

import csv
import io
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from marey.errors import ManifestError, RunError

if TYPE_CHECKING:
    pass


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends well, else leaves it alone.

    ManifestError where the folder cannot be written or the disk is full.
    """
    # process numbers repeat on the machines that share a disk
    draft = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise ManifestError(
            f"cannot write {path}: {error.strerror or error}", "free space, or another folder"
        ) from error
    finally:
        _remove(draft)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with a header; None is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))


def _remove(draft: Path) -> None:
    try:
        draft.unlink(missing_ok=True)
    except OSError:  # the folder itself is gone or not ours: nothing of ours lies there
        return


_REMEDY = "free some space or choose another --work-dir; saved checkpoints are untouched"


@contextmanager
def run_errors(path: Path, remedy: str = _REMEDY) -> Iterator[None]:
    """Turn an OSError (disk full, no permission) into a RunError that names `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{error.filename or path} could not be written: {error.strerror or error}",
            remedy,
        ) from error
