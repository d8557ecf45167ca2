"""Features of any manifest, written into one file that is mapped into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from marey.data.features.feature_file import FeatureFile, feature_writer
from marey.data.features.feature_folder import FeatureFiles
from marey.errors import DecodeError

ROWS = 256
"""Clips that are in memory at a time."""


def pack_features(
    table: pa.Table,
    features: FeatureFile | FeatureFiles,
    classes: Mapping[str, tuple[str, ...]],
    out: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the rows of `table`, a manifest's, each with its features, in their precision.

    Rows that cannot be read stay in the file, without features and with the reason.
    """
    with feature_writer(out, table.schema, dim=features.dim, dtype=features.dtype,
                        classes=classes, about=features.about) as writer:  # fmt: skip
        for start in range(0, len(table), ROWS):
            rows = range(start, min(start + ROWS, len(table)))
            vectors, errors = zip(*(_read(features, row) for row in rows), strict=True)
            writer.write(table.slice(start, len(rows)), list(vectors), list(errors))
            if progress is not None:
                progress(rows.stop, len(table))


def _read(features: FeatureFile | FeatureFiles, row: int) -> tuple[np.ndarray, str | None]:
    try:
        return features.read(row, np.arange(features.num_frames(row))), None
    except DecodeError as error:
        return np.zeros((0, features.dim), np.float32), str(error)
