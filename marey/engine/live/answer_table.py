"""Answers as a CSV file that can be read while it is written."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TextIO

from marey.engine.live.watch import Seen
from marey.storage.atomic import make_folder, refuse_existing, run_error, writing

COLUMNS = ("source", "seconds", "label", "score", "raw_label", "raw_score", "latency")


class AnswerTable:
    """A row for each answer, written at once. The file begins with the first frame.

    RunError: the file is there already (unless `overwrite`), or cannot be written.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        refuse_existing(path, overwrite=overwrite)
        self._path = path
        self._mode: Literal["w", "x"] = "w" if overwrite else "x"
        self._file: TextIO | None = None

    def add(self, seen: Seen) -> None:
        """The row of an answer; nothing where there is none."""
        if self._file is None:
            make_folder(self._path.parent, run_error)
            with writing(self._path, run_error):
                self._file = self._path.open(self._mode, encoding="utf-8", newline="", buffering=1)
            self._write(COLUMNS)
        if seen.answer is not None:
            plain = seen.to_json()
            self._write([plain[column] for column in COLUMNS])

    def close(self) -> None:
        """Let go of the file, if there is one."""
        with writing(self._path, run_error):
            if self._file is not None:
                self._file.close()

    def _write(self, row: Sequence[object]) -> None:
        with writing(self._path, run_error):
            csv.writer(self._file, lineterminator="\n").writerow(row)  # type: ignore[arg-type]
