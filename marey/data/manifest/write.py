"""A manifest written to a file: CSV and Parquet for people and other tools, Arrow to be mapped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from marey.data.features.feature_file import FeatureFile, is_arrow
from marey.data.features.feature_folder import pack_features
from marey.data.manifest.classes import SEPARATOR, write_classes
from marey.data.manifest.columns import BOUNDS, ID, NUMBERS, TEXTS, WHOLE, as_array, is_parquet
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.mapped import write_mapped
from marey.data.manifest.paths import rebased, stay_inside
from marey.errors import ManifestError
from marey.storage.arrow_files import write_parquet
from marey.storage.atomic import replacing


def write_manifest(
    manifest: Manifest, path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write a manifest and its class names; `read_manifest(path)` finds the same clips.

    Paths become relative to the folder of `path` where the clips lie inside it, else absolute. Each
    file is replaced as a whole.

    Args:
        manifest: the clips.
        path: NAME.csv or NAME.parquet, with the class names in files beside it, or NAME.arrow, with
            the class names in it: that is mapped when it is read, at once whatever its size, and
            holds the features of clips that have them (`marey.data.manifest.mapped`).
        progress: called with (clips written, clips) while features are written.

    Raises:
        ManifestError: `path` cannot be written, has another suffix, or cannot hold the manifest's
            features.
    """
    path, features = Path(path), manifest.features
    if is_arrow(path):
        if features is None:
            return _write_mapped(manifest, path)
        table = manifest_table(manifest, path.parent)
        return pack_features(table, features, manifest.classes, path, progress=progress)
    if isinstance(features, FeatureFile):
        raise ManifestError(
            f"{manifest.source} holds features, {path} cannot", "call it NAME.arrow"
        )
    if path.suffix.lower() != ".csv" and not is_parquet(path):
        raise ManifestError(
            f"{path}: a manifest is written as CSV, Parquet or Arrow", f"call it {path.stem}.csv"
        )
    table = manifest_table(manifest, path.parent)
    write_classes(manifest.classes, path.parent)
    with replacing(path) as file:
        if is_parquet(path):
            write_parquet(table, file)
            return None
        file.write((",".join(table.column_names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style=_quoting(table))
        pyarrow.csv.write_csv(table, file, options)
    return None


def manifest_table(manifest: Manifest, folder: Path) -> pa.Table:
    """The columns of a manifest file that is to lie in `folder`."""
    table = _ordered(manifest, folder)
    return pa.table({name: _cells(name, table[name]) for name in table.column_names})


def _write_mapped(manifest: Manifest, path: Path) -> None:
    """Write rows that are in memory, those of a split together, to a file that is mapped."""
    if manifest.splits is not None:
        names = manifest.splits.dictionary.to_pylist()
        ranks = np.array([[*manifest.split_counts(), *names].index(name) for name in names])
        order = ranks.astype(np.uint16)[manifest.splits.indices.to_numpy()]
        manifest = manifest.take(np.argsort(order, kind="stable"))
    table = _ordered(manifest, path.parent)
    digest = manifest.with_columns({"path": table["path"]}).digest()
    inside = stay_inside(table["path"])
    write_mapped(table, manifest.classes, path, digest=digest, inside=inside)


def _ordered(manifest: Manifest, folder: Path) -> pa.Table:
    """The table in the order of columns of a file, with the paths as they read from `folder`."""
    heads = list(manifest.labels)
    names = ["path", *heads, *(n for n in (*TEXTS, ID, *NUMBERS) if n not in heads)]
    table = manifest.table.select([n for n in names if n in manifest.table.column_names])
    return table.set_column(0, "path", rebased(manifest, folder))


def _cells(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column `name` as it is in a file: text, numbers, and empty cells for what is unknown."""
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_fixed_size_binary(column.type):
        return _label_cells(as_array(column))
    if name not in NUMBERS:
        return column
    numbers = as_array(column)
    unknown = numbers < 0 if name in WHOLE else np.isnan(numbers)
    cells = pa.array(numbers, mask=unknown)
    return cells.cast(pa.int64()) if name in BOUNDS["frames"] else cells


def _label_cells(labels: np.ndarray) -> pa.Array:
    """The classes of each clip of several as text: ``3|17``."""
    rows, classes = np.nonzero(labels)
    groups = np.split(classes.astype(str), np.flatnonzero(np.diff(rows)) + 1)
    cells = np.full(len(labels), "", dtype=object)
    cells[np.unique(rows)] = [SEPARATOR.join(group) for group in groups]
    return pa.array(cells, pa.large_string())


def _quoting(table: pa.Table) -> str:
    """Quotes around all text if any text needs them, else around none: easier to read and edit."""
    texts = [column for column in table.columns if column.type == pa.large_string()]
    needed = any(pc.any(pc.match_substring_regex(text, r'[",]')).as_py() for text in texts)
    return "needed" if needed else "none"
