"""Answers as a CSV file that can be read while it is written."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from marey.engine.live.captions import refuse_existing
from marey.engine.live.watch import Seen
from marey.storage.atomic import run_error, writing

COLUMNS = ("source", "seconds", "label", "score", "raw_label", "raw_score", "latency")


class AnswerTable:
    """A row for each answer, written at once.

    RunError: the file is there already, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        refuse_existing(path)
        self._path = path
        with writing(path, run_error):
            self._file = path.open("x", encoding="utf-8", newline="", buffering=1)
        self._write(COLUMNS)

    def add(self, seen: Seen) -> None:
        """The row of an answer; nothing where there is none."""
        if seen.answer is not None:
            plain = seen.to_json()
            self._write([plain[column] for column in COLUMNS])

    def close(self) -> None:
        """Let go of the file."""
        with writing(self._path, run_error):
            self._file.close()

    def _write(self, row: Sequence[object]) -> None:
        with writing(self._path, run_error):
            csv.writer(self._file, lineterminator="\n").writerow(row)
