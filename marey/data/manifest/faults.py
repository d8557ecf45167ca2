"""What is wrong with a list of clips, said by file, line, value and remedy.

A check marks all the rows that break its rule at once; words are made, and lines are looked up, for
the first five only. So a good list costs array operations and a bad one costs one slow pass.
"""

from __future__ import annotations

import csv
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from marey.data.features.feature_file import is_arrow
from marey.data.manifest.columns import is_parquet
from marey.errors import ManifestError, counted, cut_short

NUM_SHOWN = 5
"""Faults that are spelled out; the others are counted."""


@dataclass(frozen=True)
class Fault:
    """Rows (0-based, rising) that break one rule; of one of them what is wrong, and the remedy."""

    rows: np.ndarray
    message: Callable[[int], str]
    remedy: str | Callable[[int], str]

    def line(self, where: str, row: int) -> FaultLine:
        """What there is to say of a row that stands at file:line `where`."""
        remedy = self.remedy if isinstance(self.remedy, str) else self.remedy(row)
        return FaultLine(where, self.message(row), remedy)


class FaultLine(NamedTuple):
    """One fault as a line of a message; `where` is file:line, or the file."""

    where: str
    message: str
    hint: str


def raise_faults(faults: Sequence[Fault], names: Callable[[Sequence[int]], list[str]]) -> None:
    """Nothing if no row is at fault, else ManifestError with the first five and the total.

    `names` gives file:line for rows.
    """
    total = sum(len(fault.rows) for fault in faults)
    if not total:
        return
    early = ((int(row), n) for n, fault in enumerate(faults) for row in fault.rows[:NUM_SHOWN])
    first = heapq.nsmallest(NUM_SHOWN, early)
    where = names([row for row, _ in first])
    lines = [faults[n].line(name, row) for name, (row, n) in zip(where, first, strict=True)]
    raise fault_error(lines, total)


def refuse(path: Path, faults: Sequence[Fault]) -> None:
    """ManifestError with the first five of the rows of the file at `path` that are at fault."""
    raise_faults(faults, partial(row_names, path))


def row_names(path: Path, rows: Sequence[int]) -> list[str]:
    """Where rows of a manifest file stand: file:line, or the number of the row if it is binary."""
    if is_arrow(path) or is_parquet(path):
        return [f"{path}:row {row + 1}" for row in rows]
    return [f"{path}:{line}" for line in csv_lines(path, rows)]


def fault_error(first: Sequence[FaultLine], total: int) -> ManifestError:
    """The error for `total` faults of which the `first` are spelled out, one a line."""
    lines = [f"{where}: {message}" for where, message, _ in first]
    if total > len(first):
        lines.append(f"{total:,} faults in all")
    hints = dict.fromkeys(hint for _, _, hint in first if hint)
    return ManifestError("\n".join(lines), "; ".join(hints))


def csv_lines(path: Path, rows: Sequence[int]) -> list[str]:
    """The line numbers (from 1) of data rows of a CSV with a header; blank lines are no rows."""
    wanted, lines = set(rows), {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        for row, (line, _) in enumerate(numbered_records(file), start=-1):
            if row in wanted:
                lines[row] = str(line)
            if len(lines) == len(wanted):
                break
    return [lines.get(row, f"row {row + 1}") for row in rows]


def numbered_records(
    text: Iterable[str], *, delimiter: str = ","
) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV that are not blank, each with the line (from 1) where it starts."""
    reader = csv.reader(text, delimiter=delimiter)
    line = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # a field past the size limit: not a row of any table
            record = [str(error)]
        if record:
            yield line, record
        line = reader.line_num + 1


def structural_error(
    path: Path, header: Sequence[str], numeric: Iterable[str], reason: str, *, delimiter: str = ","
) -> ManifestError:
    """The error for a CSV that is not a table: ragged rows, bytes not UTF-8, words as numbers.

    `reason` is what the fast reader gives, for the case that none of these is found.
    """
    positions = {name: header.index(name) for name in numeric}
    first: list[FaultLine] = []
    total = 0
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        for line, record in numbered_records(file, delimiter=delimiter):
            for message, hint in _record_faults(record, len(header), positions):
                total += 1
                if len(first) < NUM_SHOWN:
                    first.append(FaultLine(f"{path}:{line}", message, hint))
    hint = 'inside quotes a quote is written twice: ""'
    first = first or [FaultLine(str(path), f"not a table: {reason}", hint)]
    return fault_error(first, max(total, 1))


def _record_faults(
    record: list[str], width: int, numeric: dict[str, int]
) -> Iterator[tuple[str, str]]:
    if not all(field.isascii() or _is_unicode(field) for field in record):
        yield f"bytes that are not UTF-8 in {clip_text(','.join(record))}", "save it as UTF-8"
    if len(record) != width:
        yield (
            f"{counted(len(record), 'field')}, the header has {width}: "
            f"{clip_text(','.join(record))}",
            "put quotes around a path that holds a comma",
        )
        return
    for name, position in numeric.items():
        field = record[position]
        if field != name and not _is_number(field):
            yield f"'{name}' is {clip_text(field)}; expected a number", "write numbers with a point"


def _is_unicode(text: str) -> bool:
    return not any("\udc80" <= char <= "\udcff" for char in text)


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def clip_text(text: object, limit: int = 80) -> str:
    """A value in quotes for a message, printable and of bounded length."""
    return repr(cut_short(str(text), limit))
