"""metrics.csv: a row an epoch, a column a number. Written, cut back and read here.

A run may go on with numbers that its file has no columns for, because an older marey began it or
other clips are validated: the new columns then come behind those that are there. An empty cell says
that nothing was measured, or that nothing was tested of it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from marey.engine.train.run_folder import training_error
from marey.errors import RunError
from marey.metrics.catalog import METRICS, find_metric
from marey.storage.atomic import write_csv
from marey.storage.text_files import read_text

FILE = "metrics.csv"


def read_epochs(folder: Path) -> list[dict[str, float]]:
    """The rows by column, NaN for an empty cell; none without a file.

    Raises:
        RunError: a cell is not a number; its line is named.
    """
    epochs = []
    for line, row in enumerate(_read(folder)[1], start=2):
        try:
            epochs.append({name: float(text) if text else math.nan for name, text in row.items()})
        except ValueError as error:
            raise RunError(f"{folder / FILE}:{line}: {error}") from error
    return epochs


def add_epoch(folder: Path, metrics: Mapping[str, float]) -> None:
    """Add a row at the end, by the columns of metrics.csv."""
    columns, rows = _read(folder)
    new = [name for name in sorted(metrics, key=_place) if name not in columns]
    cells = {name: _cell(value) for name, value in metrics.items()}
    _write(folder, [*columns, *new], [*rows, cells])


def keep_epochs(folder: Path, step: int) -> None:
    """Drop the rows after `step`, and one that a kill cut short."""
    columns, rows = _read(folder)
    if columns:
        kept = [row for row in rows if row.get("step", "").isdigit() and int(row["step"]) <= step]
        _write(folder, columns, kept)


def _read(folder: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns, and the cells of each row by column."""
    table = csv.DictReader(io.StringIO(read_text(folder / FILE)))
    rows = [{name: text or "" for name, text in row.items() if name} for row in table]
    return list(table.fieldnames or ()), rows


def _write(folder: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    cells = ([row.get(name, "") for name in columns] for row in rows)
    write_csv(folder / FILE, columns, cells, training_error)


def _cell(value: float) -> str:
    if math.isnan(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _place(column: str) -> tuple[str, int]:
    """By head, then as in the catalog; what is not in it comes last."""
    named = find_metric(column)
    return ("~", 0) if named is None else (named.head, METRICS.index(named.metric))
