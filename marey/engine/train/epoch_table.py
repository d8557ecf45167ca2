"""metrics.csv: a row an epoch, a column a number. Written, mended and read here.

A run may go on with numbers that its file has no columns for, because an older marey began it or
other clips are validated: the new columns then come behind those that are there. An empty cell says
that nothing was measured, or that nothing was tested of it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from marey.engine.train.run_folder import training_error
from marey.errors import RunError
from marey.metrics.catalog import METRICS, find_metric
from marey.storage.atomic import write_csv

FILE = "metrics.csv"
Row: TypeAlias = dict[str, str]
"""The cells of an epoch by column."""


def read_epochs(folder: Path) -> list[dict[str, float]]:
    """The rows by column, NaN for an empty cell; none without a file.

    A last row that was cut short is left out, as its epoch counts when the run goes on.

    Raises:
        RunError: a cell is not a number, or a row has too many or too few; its line is named.
    """
    table, epochs = _read(folder), []
    for line, cells in table.rows[:-1] if table.is_cut else table.rows:
        try:
            pairs = zip(table.columns, cells, strict=True)
            epochs.append({name: float(text) if text else math.nan for name, text in pairs})
        except ValueError as error:
            raise RunError(
                f"{folder / FILE}:{line}: {error}", "marey train --resume mends the file"
            ) from error
    return epochs


def add_epoch(folder: Path, metrics: Mapping[str, float]) -> None:
    """Add a row at the end, by the columns of metrics.csv."""
    table = _read(folder)
    _write(folder, table.columns, [*table.whole, _texts(metrics)])


def mend_epochs(
    folder: Path, step: int, num_epochs: int, known: Sequence[Mapping[str, float]] | None
) -> None:
    """Leave the rows of the first `num_epochs` epochs, up to `step`: each once, and whole.

    known: these rows, as the checkpoint has them: what the file lacks, or holds damaged (by a full
    disk, a power cut, an editor), is written anew. None (of an older marey): what is whole stays.
    """
    table = _read(folder)
    whole = table.whole
    if known is None:
        kept = [row for row in whole if int(row["step"]) <= step][:num_epochs]
    else:
        kept = [_taken(whole, row) for row in map(_texts, known)]
    if table.columns or kept:
        _write(folder, table.columns if table.is_ours else (), kept)


class _Table(NamedTuple):
    """metrics.csv as it lies there."""

    columns: list[str]
    rows: list[tuple[int, list[str]]]
    """Line and cells of each row."""
    is_cut: bool
    """Whether the last row is not whole: it has too few cells, or no end of line."""

    @property
    def is_ours(self) -> bool:
        """Whether the first line is one of columns."""
        return {"epoch", "step"} <= set(self.columns)

    @property
    def whole(self) -> list[Row]:
        """The rows that have a number, or nothing, in each column."""
        rows = self.rows[:-1] if self.is_cut else self.rows
        named = [
            dict(zip(self.columns, cells, strict=True))
            for _, cells in rows
            if len(cells) == len(self.columns)
        ]
        return [row for row in named if self.is_ours and _has_numbers(row)]


def _read(folder: Path) -> _Table:
    """The file, without a byte-order mark and the NUL bytes that a power cut may leave."""
    path = folder / FILE
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    text = data.decode("utf-8-sig", "replace").replace("\0", "")
    reader = csv.reader(io.StringIO(text, newline=""))
    columns = next(reader, [])
    rows = [(reader.line_num, cells) for cells in reader if cells]
    is_cut = bool(rows) and (not text.endswith("\n") or len(rows[-1][1]) < len(columns))
    return _Table(columns, rows, is_cut)


def _has_numbers(row: Row) -> bool:
    try:
        for text in filter(None, row.values()):
            float(text)
    except ValueError:
        return False
    return row["step"].isdecimal() and row["epoch"].isdecimal()


def _taken(rows: list[Row], wanted: Row) -> Row:
    """The row of the same epoch and step, which may have columns of other versions, or `wanted`."""
    for number, row in enumerate(rows):
        if (row["epoch"], row["step"]) == (wanted["epoch"], wanted["step"]):
            return rows.pop(number)  # a stage without epochs has a row like the one before it
    return wanted


def _write(folder: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Columns that the rows have besides come behind `columns`."""
    new = {name for row in rows for name in row} - {*columns}
    columns = [*columns, *sorted(new, key=_place)]
    cells = ([row.get(name, "") for name in columns] for row in rows)
    write_csv(folder / FILE, columns, cells, training_error)


def _texts(metrics: Mapping[str, float]) -> Row:
    return {name: _cell(value) for name, value in metrics.items()}


def _cell(value: float) -> str:
    if math.isnan(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _place(column: str) -> tuple[str, int]:
    """By head, then as in the catalog; what is not in it comes last."""
    named = find_metric(column)
    return ("~", 0) if named is None else (named.head, METRICS.index(named.metric))
