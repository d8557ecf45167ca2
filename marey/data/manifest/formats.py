"""The file of a manifest, CSV, Parquet or Arrow: its header, and its cells as they stand there."""

from __future__ import annotations

import csv
import difflib
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from marey.data.features.feature_file import (
    FeatureFile,
    features_of,
    is_arrow,
    open_table,
    read_class_names,
)
from marey.data.manifest.classes import Heads, heads_beside
from marey.data.manifest.columns import (
    BOUNDS,
    CODED,
    FOLD,
    ID,
    KNOWN,
    NUMBERS,
    TEXT,
    TEXTS,
    as_codes,
    is_parquet,
)
from marey.data.manifest.faults import clip_text, structural_error
from marey.data.manifest.header import (
    SEPARATORS,
    Header,
    NoLabels,
    init_hint,
    read_header,
)
from marey.errors import ManifestError
from marey.storage.arrow_files import map_file, parquet_columns, read_parquet
from marey.storage.encodings import is_plain

OTHER_FORMATS = "`marey data init` reads other columns and formats and writes a manifest"
log = logging.getLogger("marey")

_TYPES = dict.fromkeys(NUMBERS, pa.float64()) | dict.fromkeys((*TEXTS, FOLD), CODED) | {ID: TEXT}
_MISTAKABLE = [name for name in KNOWN if name not in (ID, FOLD)]
"""Not those: `uid`, `vid` and `folder` may be columns of their own."""


@dataclass(frozen=True)
class RawTable:
    """What a manifest file has, before any cell is looked at."""

    table: pa.Table
    """Path and id as text, heads, split, group, source, fold as coded text, others as float64."""
    heads: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]
    """Of heads whose classes the file itself names."""
    features: FeatureFile | None


def read_table(path: Path, heads: Heads | None) -> RawTable:
    """The columns of the manifest file at `path` that mean something; see `read_manifest`."""
    try:
        raw = _read_table(path, heads)
    except OSError as error:
        remedy = "is the path right? `marey data init FOLDER OUT` makes OUT/manifest.csv"
        raise ManifestError(f"cannot read {path}: {error.strerror or error}", remedy) from error
    if raw.table.num_rows == 0:
        raise ManifestError(f"{path}: no rows, only a header", "give at least one clip")
    return raw


def header_of(path: Path) -> list[str]:
    """The names of the columns of a CSV or Parquet file."""
    if is_parquet(path):
        return parquet_columns(path, ManifestError)
    return _csv_header(path)[1]


def _csv_header(path: Path) -> tuple[str, list[str]]:
    """What separates the columns of a CSV file, and their names."""
    with path.open("rb") as file:
        line = file.readline(1 << 16)
    if not is_plain(line):
        raise ManifestError(f"{path}: not CSV in UTF-8 with a header first", OTHER_FORMATS)
    try:
        text = line.decode("utf-8-sig")
        headers = [(sign, next(csv.reader([text], delimiter=sign), [])) for sign in SEPARATORS]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}:1: not a line of text: {error}", OTHER_FORMATS) from error
    separator, header = max(headers, key=lambda pair: len(pair[1]))
    return separator, [name.strip() for name in header]


def _read_table(path: Path, heads: Heads | None) -> RawTable:
    if is_arrow(path):
        table = open_table(path)
        classes, features = read_class_names(path, table), features_of(path, table)
        chosen = _heads(path, table.column_names, heads, classes)
        names = tuple(table.column_names)
        _refuse_header(path, Header(names, names), chosen)
        types = _types(table.column_names, chosen)
        return RawTable(_cast(path, table, types), chosen, classes, features)
    written = header_of(path)
    chosen = _heads(path, written, heads, {})
    header = read_header(path, written, chosen)
    _refuse_header(path, header, chosen)
    if header.note:
        log.warning("%s: %s", path, header.note)
    read = _read_parquet if is_parquet(path) else _read_csv
    table = read(path, header, _types(header.names, chosen))
    return RawTable(_with_folds(path, table, chosen), chosen, {}, None)


def _heads(
    path: Path, header: Sequence[str], heads: Heads | None, named: Collection[str]
) -> tuple[str, ...]:
    """The label columns to read."""
    if heads is not None:
        return tuple(heads)
    return tuple(named) or heads_beside(path, header) or ("label",)


def _refuse_header(path: Path, header: Header, heads: Sequence[str]) -> None:
    """ManifestError about a header that lacks a column, or has one that may be another."""
    names = header.names
    for name in names:
        if name and names.count(name) > 1:
            remedy = "rename or remove one of them"
            raise ManifestError(f"{path}:1: two columns are named {clip_text(name)}", remedy)
        near = difflib.get_close_matches(name.lower(), _MISTAKABLE, n=1, cutoff=0.8)
        if name not in KNOWN and near and near[0] not in names and name not in heads:
            raise ManifestError(
                f"{path}:1: unknown column {clip_text(name)}", f"did you mean '{near[0]}'?"
            )
    for name in ("path", *heads):
        if name not in names:
            known = ", ".join(map(clip_text, header.written[:12])) or "nothing"
            hint = (
                f"call it so, or {init_hint(path, header.written)}" if any(names) else OTHER_FORMATS
            )
            lacks = ManifestError if name == "path" else NoLabels
            raise lacks(f"{path}:1: no column '{name}', only {known}", hint)
    for start, end in BOUNDS.values():
        if end in names and start not in names:
            raise ManifestError(
                f"{path}:1: '{end}' needs a column '{start}' beside it",
                f"add '{start}'; an empty cell is the beginning of the file",
            )
    if "start" in names and "start_frame" in names:
        raise ManifestError(f"{path}:1: spans both in seconds and in frames", "keep one of them")


def _with_folds(path: Path, table: pa.Table, heads: Sequence[str]) -> pa.Table:
    """The table, where `fold` has no number with that column as the split, as others call it so."""
    if FOLD not in table.column_names or FOLD in heads:
        return table
    words = [text for text in as_codes(table[FOLD]).dictionary.to_pylist() if text]
    if not words or any(re.search(r"\d", text) for text in words):
        return table
    if "split" in table.column_names:
        log.warning("%s: `fold` is left: %s is no number", path, clip_text(words[0]))
        return table.drop_columns([FOLD])
    log.warning("%s: `fold` is read as split", path)
    return table.rename_columns(["split" if n == FOLD else n for n in table.column_names])


def _types(header: Sequence[str], heads: Sequence[str]) -> dict[str, pa.DataType]:
    """The columns to read, with what to read them as."""
    types = {name: kind for name, kind in _TYPES.items() if name in header}
    return types | dict.fromkeys(heads, CODED) | {"path": TEXT}


def _read_csv(path: Path, header: Header, types: dict[str, pa.DataType]) -> pa.Table:
    separator, _ = _csv_header(path)
    try:
        return pa.csv.read_csv(
            pa.BufferReader(map_file(path)),
            read_options=pa.csv.ReadOptions(
                column_names=header.names, skip_rows=1, block_size=1 << 24
            ),
            parse_options=pa.csv.ParseOptions(delimiter=separator),
            convert_options=pa.csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[""]
            ),
        )
    except pa.ArrowInvalid as error:
        numbers = [header.as_written(name) for name in types if types[name] == pa.float64()]
        raise structural_error(
            path, header.written, numbers, str(error), delimiter=separator
        ) from error


def _read_parquet(path: Path, header: Header, types: dict[str, pa.DataType]) -> pa.Table:
    columns = [header.as_written(name) for name in types]
    table = read_parquet(path, columns, ManifestError)
    return _cast(path, table.select(columns).rename_columns(list(types)), types)


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
