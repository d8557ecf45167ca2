"""The file of a manifest, CSV, Parquet or Arrow: its header, and its cells as they stand there."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from marey.data.features.feature_file import (
    FeatureFile,
    features_of,
    is_arrow,
    open_table,
    read_class_names,
)
from marey.data.manifest.classes import heads_beside
from marey.data.manifest.columns import BOUNDS, CODED, ID, KNOWN, NUMBERS, TEXT, TEXTS, is_parquet
from marey.data.manifest.faults import clip_text, structural_error
from marey.errors import ManifestError

OTHER_FORMATS = "`marey data init` reads other columns and formats and writes a manifest"

_TYPES = dict.fromkeys(NUMBERS, pa.float64()) | dict.fromkeys(TEXTS, CODED) | {ID: TEXT}
_MISTAKABLE = [name for name in KNOWN if name != ID]
"""Not `id`: `uid` and `vid` may be columns of their own."""


@dataclass(frozen=True)
class RawTable:
    """What a manifest file has, before any cell is looked at."""

    table: pa.Table
    """Path and id as text, heads, split, group and source as coded text, the others as float64."""
    heads: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]
    """Of heads whose classes the file itself names."""
    features: FeatureFile | None


def read_table(path: Path, heads: Mapping[str, int] | None) -> RawTable:
    """The columns of the manifest file at `path` that mean something; see `read_manifest`."""
    try:
        raw = _read_table(path, heads)
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror or error}") from error
    if raw.table.num_rows == 0:
        raise ManifestError(f"{path}: no rows, only a header", "give at least one clip")
    return raw


def header_of(path: Path) -> list[str]:
    """The names of the columns of a CSV or Parquet file."""
    if is_parquet(path):
        try:
            return list(pyarrow.parquet.read_schema(path).names)
        except pa.ArrowInvalid as error:
            raise ManifestError(f"{path}: not a Parquet file: {error}") from error
    with path.open("rb") as file:
        line = file.readline(1 << 16)
    try:
        return [name.strip() for name in next(csv.reader([line.decode("utf-8-sig")]), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}:1: not a line of text: {error}", OTHER_FORMATS) from error


def _read_table(path: Path, heads: Mapping[str, int] | None) -> RawTable:
    if is_arrow(path):
        table = open_table(path)
        classes, features = read_class_names(table), features_of(path, table)
        chosen = _heads(path, table.column_names, heads, classes)
        types = _types(table.column_names, chosen)
        return RawTable(_cast(path, table, types), chosen, classes, features)
    header = header_of(path)
    chosen = _heads(path, header, heads, {})
    read = _read_parquet if is_parquet(path) else _read_csv
    return RawTable(read(path, header, _types(header, chosen)), chosen, {}, None)


def _heads(
    path: Path, header: Sequence[str], heads: Mapping[str, int] | None, named: Collection[str]
) -> tuple[str, ...]:
    """The label columns to read, all of them there; else ManifestError about the header."""
    for name in header:
        if name and header.count(name) > 1:
            raise ManifestError(f"{path}:1: two columns are named {clip_text(name)}")
        near = difflib.get_close_matches(name.lower(), _MISTAKABLE, n=1, cutoff=0.8)
        if name not in KNOWN and near and near[0] not in header and name not in (heads or ()):
            raise ManifestError(
                f"{path}:1: unknown column {clip_text(name)}", f"did you mean '{near[0]}'?"
            )
    if heads is None:
        chosen = tuple(named) or heads_beside(path, header) or ("label",)
    else:
        chosen = tuple(heads)
    for name in ("path", *chosen):
        if name not in header:
            known = ", ".join(map(clip_text, header[:12])) or "nothing"
            raise ManifestError(f"{path}:1: no column '{name}', only {known}", OTHER_FORMATS)
    for start, end in BOUNDS.values():
        if end in header and start not in header:
            raise ManifestError(f"{path}:1: '{end}' needs a column '{start}' beside it")
    if "start" in header and "start_frame" in header:
        raise ManifestError(f"{path}:1: spans both in seconds and in frames", "keep one of them")
    return chosen


def _types(header: Sequence[str], heads: Sequence[str]) -> dict[str, pa.DataType]:
    """The columns to read, with what to read them as."""
    types = {name: kind for name, kind in _TYPES.items() if name in header}
    return types | dict.fromkeys(heads, CODED) | {"path": TEXT}


def _read_csv(path: Path, header: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    try:
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(column_names=header, skip_rows=1, block_size=1 << 24),
            convert_options=pa.csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[""]
            ),
        )
    except pa.ArrowInvalid as error:
        numbers = [name for name in types if types[name] == pa.float64()]
        raise structural_error(path, header, numbers, str(error)) from error


def _read_parquet(path: Path, _: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    try:
        table = pyarrow.parquet.read_table(path, columns=list(types))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"{path}: {error}") from error
    return _cast(path, table, types)


def _cast(path: Path, table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The columns, as they are read from a CSV: no cell of text is null."""
    try:
        return pa.table({name: _cast_column(table[name], kind) for name, kind in types.items()})
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"{path}: {error}", "expected text, whole numbers, numbers") from error


def _cast_column(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if kind == pa.float64():
        return column.cast(kind)
    text = pc.fill_null(column.cast(TEXT), "")
    if kind == CODED:
        return text.dictionary_encode()
    # one array of its own: slices of a shared buffer would each carry all of it to a worker
    return pa.chunked_array([text.combine_chunks()])
