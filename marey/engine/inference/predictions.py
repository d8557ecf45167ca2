"""predictions.parquet: the scores of every clip that was read, written and read back.

Files of `marey predict` are read too, if their clips have labels: they have a row for clips that
could not be read as well, and say in their metadata what the scores are.

A row a clip: id (its row in the manifest), path, start, end, source and clip_id (what its data set
calls it) if the manifest has them, and for every head the label (a list of classes where clips
have several), if the manifest has labels, and the scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.manifest.manifest import Manifest
from marey.engine.results_file import MissingClip, Results
from marey.errors import RunError
from marey.metrics.catalog import Labels, Scores
from marey.storage.arrow_files import read_parquet
from marey.storage.text_files import as_value, reading
from marey.terminal import visible

_ERROR = "error"
_ABOUT = ("id", "path", "start", "end", "source", "clip_id")


def prediction_table(
    manifest: Manifest, scores: dict[str, Scores], rows: npt.NDArray[np.int64]
) -> pa.Table:
    """The table of the clips of `manifest` with their scores [n k] a head; `rows` are their ids."""
    columns: dict[str, Any] = {
        "id": rows,
        "path": [visible(str(manifest.path(i))) for i in range(len(manifest))],
    }
    for name, bounds in (("start", manifest.starts), ("end", manifest.ends)):
        columns[name] = pa.array(
            [None] * len(rows) if bounds is None else bounds, pa.float64(), from_pandas=True
        )
    if manifest.sources is not None:
        columns["source"] = manifest.sources.cast(pa.large_string())
    if manifest.ids is not None:
        columns["clip_id"] = manifest.ids
    for head, values in scores.items():
        if head in manifest.labels:
            columns[head] = _label_column(manifest.labels[head])
        flat = pa.array(values.ravel())
        columns[scores_column(head)] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(columns)


def scores_column(head: str) -> str:
    """The column that holds the scores of `head`."""
    return "scores" if head == "label" else f"scores.{head}"


@dataclass(frozen=True, eq=False)
class Predictions:
    """The clips of a predictions.parquet, in its order."""

    ids: list[str]
    paths: list[str]
    """Empty where the file does not name them."""
    spans: list[tuple[float | None, float | None]]
    heads: dict[str, tuple[Scores, Labels]]
    sources: list[str | None] | None = None
    clip_ids: list[str | None] | None = None
    facts: Results | None = None
    """What the file itself says: class names, what is averaged over views, clips without scores."""


def read_predictions(path: Path) -> Predictions:
    """What is in the file at `path`; RunError if it is not what an evaluation writes."""
    table = read_parquet(path, None, RunError, "evaluate again")
    _refuse_columns(path, table)
    facts = _facts(path, table)
    if _ERROR in table.column_names:
        table = table.filter(pc.is_null(table[_ERROR]))
    columns = [name for name in table.column_names if name.split(".")[0] == "scores"]
    if not columns:
        raise RunError(f"{path} has no column 'scores'; it has {', '.join(table.column_names)}")
    heads = {column.partition(".")[2] or "label": column for column in columns}
    cells = {name: table[name].to_pylist() for name in _ABOUT if name in table.column_names}
    none = [None] * len(table)
    paths = cells.get("path", [])
    return Predictions(
        ids=[str(each) for each in cells.get("id") or paths or range(len(table))],
        paths=paths,
        spans=list(zip(cells.get("start", none), cells.get("end", none), strict=True)),
        heads={
            head: _scores_and_labels(path, table, column, head) for head, column in heads.items()
        },
        sources=cells.get("source"),
        clip_ids=cells.get("clip_id"),
        facts=facts,
    )


def _facts(path: Path, table: pa.Table) -> Results | None:
    """What `marey predict` writes into the metadata, with the clips that it could not read."""
    text = (table.schema.metadata or {}).get(b"marey")
    if text is None:
        return None
    with reading(path, hint="predict again"):
        about = json.loads(text)
        said = {name: about[name] for name in ("average", "classes", "span_unit")}
        said["several"] = about.get("several")
    facts = as_value(Results, said, path, hint="predict again")
    unread = table.slice(0, 0)
    if _ERROR in table.column_names:
        unread = table.filter(pc.is_valid(table[_ERROR]))
    missing = tuple(_missing_clip(row, [*facts.classes]) for row in unread.to_pylist())
    return replace(facts, num_clips=len(table), num_missing=len(missing), missing=missing)


def _missing_clip(row: Mapping[str, Any], heads: Sequence[str]) -> MissingClip:
    labels = {head: row[head] for head in heads if row.get(head) is not None}
    return MissingClip(
        row["id"],
        row["path"],
        row[_ERROR],
        row["start"],
        row["end"],
        row.get("source"),
        row.get("clip_id"),
        {head: tuple(of) if isinstance(of, list) else (of,) for head, of in labels.items()},
    )


def _refuse_columns(path: Path, table: pa.Table) -> None:
    """RunError for columns of another kind than an evaluation writes."""
    if len(set(table.column_names)) < len(table.column_names):
        raise RunError(f"{path} has two columns of one name", "evaluate again")
    for name, is_right in (("path", _is_text), ("start", _is_number), ("end", _is_number)):
        if len(table) and name in table.column_names and not is_right(table[name].type):
            raise RunError(f"{path}: '{name}' is {table[name].type}", "evaluate again")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def labels_of_column(column: pa.ChunkedArray, num_classes: int) -> Labels | None:
    """Labels int64 [n], or bool [n k] of a column of lists; None if not all are classes."""
    lists = _is_list(column.type)
    classes = (pc.list_flatten(column) if lists else column).to_numpy()
    if classes.dtype.kind not in "iu" or not ((classes >= 0) & (classes < num_classes)).all():
        return None
    if not lists:
        return np.asarray(classes, np.int64)
    labels = np.zeros((len(column), num_classes), dtype=bool)
    labels[pc.list_parent_indices(column).to_numpy(), classes] = True
    return labels


def _label_column(labels: Labels) -> pa.Array:
    if labels.ndim == 1:
        return pa.array(labels)
    rows, classes = np.nonzero(labels)
    ends = np.searchsorted(rows, np.arange(len(labels) + 1))
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(classes))


def _scores_and_labels(
    path: Path, table: pa.Table, column: str, head: str
) -> tuple[Scores, Labels]:
    if head not in table.column_names:
        raise RunError(f"{path} has '{column}' but no labels for it", f"it needs '{head}'")
    kind = table[column].type
    if not _is_list(kind) or not _is_number(kind.value_type):
        raise RunError(f"{path}: '{column}' is {kind}, expected lists of numbers")
    if table[column].null_count or pc.list_flatten(table[column]).null_count:
        raise RunError(f"{path}: '{column}' is empty in a row, expected scores a clip")
    fixed = pa.types.is_fixed_size_list(kind)  # which knows the number without a clip
    lengths = (
        [kind.list_size] if fixed else pc.unique(pc.list_value_length(table[column])).to_pylist()
    )
    if len(lengths) != 1 or not lengths[0]:
        raise RunError(f"{path}: '{column}' has {lengths} scores a clip, expected one number")
    scores = pc.list_flatten(table[column]).to_numpy().astype(np.float32).reshape(-1, lengths[0])
    labels = labels_of_column(table[head], lengths[0])
    if labels is None:
        raise RunError(f"{path}: '{head}' is not a class from 0 to {lengths[0] - 1} everywhere")
    return scores, labels
