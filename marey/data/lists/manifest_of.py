"""Rows of a list become a manifest: for `marey data init` and `marey data prepare`, here alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from marey.data.manifest.columns import BOUNDS, ID, Unit, Values
from marey.data.manifest.manifest import Manifest


class Row(Protocol):
    """What every row says, of a list or of a data set."""

    @property
    def start(self) -> float | None:
        """None is open, for the end too."""

    @property
    def end(self) -> float | None:
        """Exclusive."""

    @property
    def num_frames(self) -> int | None:
        """Of the whole file, if the list says."""

    @property
    def id(self) -> str:
        """What the list calls the clip, or nothing."""


def manifest_of(
    rows: Sequence[Row],
    paths: Sequence[str],
    *,
    source: Path,
    root: Path,
    spans: np.ndarray,
    unit: Unit,
    rates: np.ndarray,
) -> Manifest:
    """A manifest without labels; a column of which no row knows anything is left out.

    Args:
        paths: where each clip lies, from `root`.
        spans: float64 [n, 2], start and end in `unit`, NaN where open; see `spans_of`.
        rates: float64 [n], frames a second of folders of frames, NaN for others.
    """
    ids = [row.id for row in rows]
    counts = [row.num_frames or None for row in rows]
    columns: dict[str, Values | None] = {
        "path": paths,
        ID: ids if any(ids) else None,
        "num_frames": counts if any(counts) else None,
        "fps": None if np.isnan(rates).all() else rates,
    }
    if not np.isnan(spans).all():
        columns |= dict(zip(BOUNDS[unit], spans.T, strict=True))
    return Manifest.from_columns(source, root, columns)


def spans_of(rows: Sequence[Row]) -> np.ndarray:
    """Start and end of every row, float64 [n, 2], NaN where open."""
    spans = [[np.nan if x is None else x for x in (row.start, row.end)] for row in rows]
    return np.array(spans, np.float64).reshape(-1, 2)


def label_column(labels: Sequence[int | tuple[int, ...]], num_classes: int) -> np.ndarray:
    """Class indices int64 [n], or bool [n k] where clips may have several.

    >>> label_column([(0, 2), (1,)], 3).tolist()
    [[True, False, True], [False, True, False]]
    """
    if all(isinstance(label, int) for label in labels):
        return np.array(labels, np.int64)
    hot = np.zeros((len(labels), num_classes), bool)
    for row, label in enumerate(labels):
        hot[row, label] = True
    return hot


def count_notes(rows: Sequence[Row], counts: Sequence[int | None]) -> list[str]:
    """What a person should know of the counts of a list; `counts` are of what decodes, if known."""
    if not counts:
        known = sum(row.num_frames is not None for row in rows)
        return [f"frames of {known:,} clips are as the list says, not counted"] if known else []
    pairs = zip(rows, counts, strict=True)
    other = sum(row.num_frames not in (None, count) for row, count in pairs if count)
    words = "have another number of frames than their annotation says; the manifest has theirs"
    return [f"{other:,} clips {words}"] if other else []
