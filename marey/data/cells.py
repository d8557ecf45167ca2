"""Columns of a manifest as they are written for people: words, numbers, nothing where unknown."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.columns import BOUNDS, NUMBERS
from marey.data.manifest.mapped import Column


def cells_of(name: str, column: Column) -> pa.Array | pa.ChunkedArray:
    """The column `name` of a manifest file."""
    if isinstance(column, pa.DictionaryArray):
        return column.cast(pa.large_string())
    if isinstance(column, pa.ChunkedArray):
        return column
    if name not in NUMBERS:
        return _label_cells(column)
    unknown = column < 0 if name == "num_frames" else np.isnan(column)
    cells = pa.array(column, mask=unknown)
    return cells.cast(pa.int64()) if name in BOUNDS["frames"] else cells


def _label_cells(labels: np.ndarray) -> pa.Array:
    """Class indices as they are, several of a clip as text: ``3|17``."""
    if labels.ndim == 1:
        return pa.array(labels)
    rows, classes = np.nonzero(labels)
    groups = np.split(classes.astype(str), np.flatnonzero(np.diff(rows)) + 1)
    cells = np.full(len(labels), "", dtype=object)
    cells[np.unique(rows)] = [SEPARATOR.join(group) for group in groups]
    return pa.array(cells, pa.large_string())


def quoting(table: pa.Table) -> str:
    """Quotes around all text if any text needs them, else around none: easier to read and edit."""
    texts = [column for column in table.columns if column.type == pa.large_string()]
    needed = any(pc.any(pc.match_substring_regex(text, r'[",]')).as_py() for text in texts)
    return "needed" if needed else "none"
