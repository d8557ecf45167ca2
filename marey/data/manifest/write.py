"""A manifest written to a file: CSV and Parquet for people and other tools, Arrow to be mapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from marey.data.features.feature_file import FeatureFile, is_feature_file
from marey.data.features.feature_folder import pack_features
from marey.data.manifest.classes import SEPARATOR, write_classes
from marey.data.manifest.columns import BOUNDS, ID, NUMBERS
from marey.data.manifest.mapped import Column, write_mapped
from marey.data.manifest.paths import rebased, stay_inside
from marey.errors import ManifestError
from marey.storage.atomic import replacing

if TYPE_CHECKING:
    from marey.data.manifest.manifest import Manifest  # which gives what is written its name


def write_manifest(
    manifest: Manifest, path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write `manifest` as CSV (or Parquet, by the suffix) with its class names beside it.

    NAME.arrow is mapped into memory when it is read, at once whatever its size; see
    `marey.data.manifest.mapped`. It has the class names in it, and the features, if there are any:
    then another name is a ManifestError. Each file is replaced as a whole. Paths become relative to
    the new file's folder where the clips lie inside it, else absolute: `read_manifest(path)` finds
    the same clips.
    """
    path, features = Path(path), manifest.features
    if is_feature_file(path) and features is None:
        return _write_mapped(manifest, path)
    table = manifest_table(manifest, path.parent)
    if is_feature_file(path) and features is not None:
        return pack_features(table, features, manifest.classes, path, progress=progress)
    if isinstance(features, FeatureFile):
        raise ManifestError(
            f"{manifest.source} holds features, {path} cannot", "call it NAME.arrow"
        )
    write_classes(manifest.classes, path.parent)
    with replacing(path) as file:
        if path.suffix.lower() in (".parquet", ".pq"):
            pyarrow.parquet.write_table(table, file)
            return None
        file.write((",".join(table.column_names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style=quoting(table))
        pyarrow.csv.write_csv(table, file, options)
    return None


def _write_mapped(manifest: Manifest, path: Path) -> None:
    """Write rows that are in memory, those of a split together, to a file that is mapped."""
    if manifest.splits is not None:
        names = manifest.splits.dictionary.to_pylist()
        places = np.array([[*manifest.split_counts(), *names].index(name) for name in names])
        order = places.astype(np.uint16)[manifest.splits.indices.to_numpy()]
        manifest = manifest.take(np.argsort(order, kind="stable"))
    columns = _columns(manifest, path.parent)
    digest = replace(manifest, paths=columns["path"]).digest()
    inside = stay_inside(columns["path"])
    write_mapped(columns, manifest.classes, path, digest=digest, inside=inside)


def manifest_table(manifest: Manifest, folder: Path) -> pa.Table:
    """The columns of a manifest file that is to lie in `folder`."""
    cells = {name: cells_of(name, column) for name, column in _columns(manifest, folder).items()}
    return pa.table(cells)


def _columns(manifest: Manifest, folder: Path) -> dict[str, Column]:
    """The columns as they are in memory, by their names in a file that is to lie in `folder`."""
    start, end = BOUNDS[manifest.unit]
    columns = {
        "path": rebased(manifest.paths, manifest.roots or manifest.root, folder),
        **manifest.labels,
        "split": manifest.splits,
        "group": manifest.groups,
        "source": manifest.sources,
        ID: manifest.ids,
        start: manifest.starts,
        end: manifest.ends,
        "num_frames": manifest.frame_counts,
        "fps": manifest.rates,
    }
    return {name: column for name, column in columns.items() if column is not None}


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
