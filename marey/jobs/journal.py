"""Answers of a line each, kept as they come: a process that is killed has lost what was in hand.

Every writer has a file of its own, to which it appends lists in JSON. A line that was cut short,
when the process or the disk came to an end, is no JSON and counts for nothing. Where what is kept
is more than a line, it goes into parts: `marey.jobs.parts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from marey.storage.atomic import Failure, manifest_error, writing


def read_journals(paths: Iterable[Path]) -> Iterator[list[Any]]:
    """The lists in the files, in order, without lines that were cut short."""
    for path in paths:
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, list):
                yield entry


@contextmanager
def appending(path: Path, failure: Failure = manifest_error) -> Iterator[Callable[[object], None]]:
    """A function that adds an entry to the file at once, whole or else recognisably cut."""
    with writing(path, failure):
        file = path.open("ab", buffering=0)

    def append(line: str) -> None:
        with writing(path, failure):
            _write_all(file, f"{line}\n".encode())

    with file:
        append("")  # ends a line that was cut short
        yield lambda entry: append(json.dumps(entry))


def _write_all(file: FileIO, data: bytes) -> None:
    while data:  # a disk that is nearly full takes some bytes, then none
        data = data[file.write(data) :]
