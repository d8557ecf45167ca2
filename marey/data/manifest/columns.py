"""From the file of a manifest, CSV, Parquet or Arrow, to columns that keep the rules."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from marey.data.features.feature_file import (
    FeatureFile,
    features_of,
    is_feature_file,
    open_table,
    read_class_names,
)
from marey.data.manifest.classes import classes_file, coded, read_labels
from marey.data.manifest.duplicates import repeats, text_buffers
from marey.data.manifest.faults import Fault, clip_text, csv_lines, raise_faults, structural_error
from marey.errors import ManifestError

Unit = Literal["seconds", "frames"]
BOUNDS: dict[Unit, tuple[str, str]] = {
    "seconds": ("start", "end"),
    "frames": ("start_frame", "end_frame"),
}
TEXTS = ("split", "group", "source")
NUMBERS = ("start", "end", "start_frame", "end_frame", "num_frames", "fps")
ID = "id"
KNOWN = ("path", "label", *TEXTS, ID, *NUMBERS)
_MISTAKABLE = [name for name in KNOWN if name != ID]
"""Not `id`: `uid` and `vid` may be columns of their own."""
OTHER_FORMATS = "`marey data init` reads other columns and formats and writes a manifest"


@dataclass
class RawManifest:
    """The columns of a manifest file, each rule of which has been checked but for the files."""

    path: Path
    paths: pa.ChunkedArray
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    texts: dict[str, pa.DictionaryArray] = field(default_factory=dict)
    ids: pa.ChunkedArray | None = None
    unit: Unit = "seconds"
    starts: np.ndarray | None = None
    ends: np.ndarray | None = None
    frame_counts: np.ndarray | None = None
    rates: np.ndarray | None = None
    features: FeatureFile | None = None


def refuse(path: Path, faults: Sequence[Fault]) -> None:
    """Nothing if no row is at fault, else ManifestError with the lines of the first five."""
    raise_faults(faults, partial(_places, path))


def _places(path: Path, rows: Sequence[int]) -> list[str]:
    """Where the rows stand: file:line, or the number of the row in a binary file."""
    if _is_parquet(path) or is_feature_file(path):
        return [f"{path}:row {row + 1}" for row in rows]
    return [f"{path}:{line}" for line in csv_lines(path, rows)]


def read_raw(path: Path, heads: Mapping[str, int] | None) -> RawManifest:
    """The columns of the manifest file at `path`; see `read_manifest`."""
    features, named = None, {}
    try:
        if is_feature_file(path):
            mapped = open_table(path)
            features, named = features_of(path, mapped), read_class_names(mapped)
            header = list(mapped.column_names)
        else:
            header = header_of(path)
        names = _heads(path, header, heads, named)
        numbers = [name for name in NUMBERS if name in header]
        texts = [*names, *(name for name in TEXTS if name in header)]
        plain = ["path", ID] if ID in header and ID not in names else ["path"]
        if is_feature_file(path):
            table = _typed(path, mapped, plain, texts, numbers)
        elif _is_parquet(path):
            table = _read_parquet(path, plain, texts, numbers)
        else:
            table = _read_csv(path, header, plain, texts, numbers)
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror or error}") from error
    if table.num_rows == 0:
        raise ManifestError(f"{path}: no rows, only a header", "give at least one clip")
    ids = table[ID] if ID in plain else None
    raw = RawManifest(path, table["path"], ids=ids, features=features)
    faults = _path_faults(raw) + _read_numbers(raw, table) + _read_texts(raw, table)
    for head in names:
        wanted = None if heads is None else heads[head]
        labels, classes, wrong = read_labels(path, table[head], head, wanted, named.get(head))
        raw.labels[head], raw.classes[head] = labels, classes
        faults += wrong
    refuse(path, faults)
    refuse(path, _repeat_faults(raw))
    return raw


def header_of(path: Path) -> list[str]:
    """The names of the columns of a CSV or Parquet file."""
    return _parquet_header(path) if _is_parquet(path) else _csv_header(path)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _csv_header(path: Path) -> list[str]:
    with path.open("rb") as file:
        line = file.readline(1 << 16)
    try:
        return [name.strip() for name in next(csv.reader([line.decode("utf-8-sig")]), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}:1: not a line of text: {error}", OTHER_FORMATS) from error


def _parquet_header(path: Path) -> list[str]:
    try:
        return list(pyarrow.parquet.read_schema(path).names)
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{path}: not a Parquet file: {error}") from error


def _heads(
    path: Path, header: list[str], heads: Mapping[str, int] | None, named: Collection[str]
) -> list[str]:
    """The label columns to read, all of them there; else ManifestError about the header."""
    found = ", ".join(map(clip_text, header[:12])) or "nothing"
    for name in header:
        if name and header.count(name) > 1:
            raise ManifestError(f"{path}:1: two columns are named {clip_text(name)}")
        near = difflib.get_close_matches(name.lower(), _MISTAKABLE, n=1, cutoff=0.8)
        if name not in KNOWN and near and near[0] not in header and name not in (heads or ()):
            raise ManifestError(
                f"{path}:1: unknown column {clip_text(name)}", f"did you mean '{near[0]}'?"
            )
    if heads is None:
        known = named or [c for c in header if c == "label" or _has_classes(path.parent, c)]
        names = list(known) or ["label"]
    else:
        names = list(heads)
    for name in ["path", *names]:
        if name not in header:
            raise ManifestError(f"{path}:1: no column '{name}', only {found}", OTHER_FORMATS)
    for start, end in BOUNDS.values():
        if end in header and start not in header:
            raise ManifestError(f"{path}:1: '{end}' needs a column '{start}' beside it")
    if "start" in header and "start_frame" in header:
        raise ManifestError(f"{path}:1: spans both in seconds and in frames", "keep one of them")
    return names


def _has_classes(folder: Path, column: str) -> bool:
    return bool(re.fullmatch(r"\w+", column)) and classes_file(folder, column).is_file()


_CODED = pa.dictionary(pa.int32(), pa.large_string())


def _read_csv(
    path: Path, header: list[str], plain: list[str], texts: list[str], numbers: list[str]
) -> pa.Table:
    types = dict.fromkeys(numbers, pa.float64()) | dict.fromkeys(texts, _CODED)
    types |= dict.fromkeys(plain, pa.large_string())
    try:
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(column_names=header, skip_rows=1, block_size=1 << 24),
            convert_options=pa.csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[""]
            ),
        )
    except pa.ArrowInvalid as error:
        raise structural_error(path, header, numbers, str(error)) from error


def _read_parquet(path: Path, plain: list[str], texts: list[str], numbers: list[str]) -> pa.Table:
    try:
        table = pyarrow.parquet.read_table(path, columns=[*plain, *texts, *numbers])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"{path}: {error}") from error
    return _typed(path, table, plain, texts, numbers)


def _typed(
    path: Path, table: pa.Table, plain: list[str], texts: list[str], numbers: list[str]
) -> pa.Table:
    """The columns asked for, as text, coded text and numbers."""
    columns = {}
    try:
        for name in plain:
            # one array of its own: slices of a shared buffer would each carry all of it to a worker
            whole = pc.fill_null(table[name].cast(pa.large_string()), "").combine_chunks()
            columns[name] = pa.chunked_array([whole])
        for name in texts:
            columns[name] = pc.fill_null(
                table[name].cast(pa.large_string()), ""
            ).dictionary_encode()
        columns |= {name: table[name].cast(pa.float64()) for name in numbers}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"{path}: {error}", "expected text, whole numbers, numbers") from error
    return pa.table(columns)


def _path_faults(raw: RawManifest) -> list[Fault]:
    empty = np.flatnonzero(pc.equal(pc.binary_length(raw.paths), 0).to_numpy())
    return [
        Fault(empty, lambda _: ("'path' is empty", "give the clip's file or remove the row")),
        _broken_fault("path", raw.paths, "rename the file"),
        *([] if raw.ids is None else [_broken_fault(ID, raw.ids, "give it another id")]),
    ]


def _broken_fault(name: str, column: pa.ChunkedArray, remedy: str) -> Fault:
    rows = np.zeros(0, np.int64)
    if any(text_buffers(chunk)[1].min(initial=32) < 32 for chunk in column.chunks):
        rows = np.flatnonzero(pc.match_substring_regex(column, "[\r\n\0]").to_numpy())
    return Fault(
        rows,
        lambda row: (
            f"'{name}' is {clip_text(column[row])}, with a line break or a zero byte",
            remedy,
        ),
    )


def _read_numbers(raw: RawManifest, table: pa.Table) -> list[Fault]:
    """Fills in spans, frame counts and rates; returns what is wrong with them."""
    found = set(table.column_names)
    raw.unit = "frames" if "start_frame" in found else "seconds"
    start_name, end_name = BOUNDS[raw.unit]
    faults: list[Fault] = []
    if start_name in found:
        raw.starts = _numbers(table[start_name])
        raw.ends = (
            _numbers(table[end_name]) if end_name in found else np.full_like(raw.starts, np.nan)
        )
        faults += _span_faults(raw.starts, raw.ends, raw.unit)
    if "num_frames" in found:
        counts = _numbers(table["num_frames"])
        wrong = ~np.isnan(counts) & ~((counts >= 1) & (counts < 2**53) & (counts % 1 == 0))
        faults.append(
            Fault(
                np.flatnonzero(wrong),
                lambda row: (
                    f"'num_frames' is {counts[row]:g}; expected a whole number from 1",
                    "leave it empty if it is not known",
                ),
            )
        )
        raw.frame_counts = np.where(wrong | np.isnan(counts), -1, counts).astype(np.int64)
    if "fps" in found:
        rates = raw.rates = _numbers(table["fps"])
        rows = np.flatnonzero((rates <= 0) | np.isinf(rates))
        faults.append(
            Fault(
                rows,
                lambda row: (
                    f"'fps' is {rates[row]:g}; expected frames a second",
                    "leave it empty if not known",
                ),
            )
        )
    return faults


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    numbers: np.ndarray = pc.fill_null(column, np.nan).to_numpy()
    return numbers


def _span_faults(starts: np.ndarray, ends: np.ndarray, unit: Unit) -> list[Fault]:
    names = BOUNDS[unit]
    expected = "seconds from 0" if unit == "seconds" else "a whole number of frames from 0"

    def bound(name: str, column: np.ndarray) -> Fault:
        wrong = (column < 0) | np.isinf(column)
        if unit == "frames":
            wrong |= np.nan_to_num(column) % 1 != 0
        rows = np.flatnonzero(wrong)
        return Fault(rows, lambda row: (f"'{name}' is {column[row]:g}; expected {expected}", ""))

    def backwards(row: int) -> tuple[str, str]:
        start, end = (f"'{name}' {c[row]:g}" for name, c in zip(names, (starts, ends), strict=True))
        return f"{end} is not after {start}", "the end is exclusive, an empty cell is open"

    late = np.flatnonzero(ends <= np.nan_to_num(starts))
    return [bound(names[0], starts), bound(names[1], ends), Fault(late, backwards)]


def _read_texts(raw: RawManifest, table: pa.Table) -> list[Fault]:
    """Fills in splits and groups; returns the rows whose split or group is empty."""
    faults = []
    for name in TEXTS:
        if name in table.column_names:
            column = raw.texts[name] = coded(table[name])
            faults.append(_empty_fault(name, column))
    return faults


def _empty_fault(name: str, column: pa.DictionaryArray) -> Fault:
    empty = pc.equal(column.dictionary, "").to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(empty[column.indices.to_numpy()])
    remedy = "write train, val or test" if name == "split" else f"name the {name} of every clip"
    return Fault(rows, lambda _: (f"'{name}' is empty", remedy))


def _repeat_faults(raw: RawManifest) -> list[Fault]:
    earlier = repeats(raw.paths, [raw.starts, raw.ends, raw.ids])
    same = [] if raw.starts is None else ["span"]
    same += [] if raw.ids is None else ["id"]

    def describe(row: int) -> tuple[str, str]:
        (place,) = _places(raw.path, [earlier[row]])
        span = f" with the same {' and '.join(same)}" if same else ""
        line = place.removeprefix(f"{raw.path}:")
        line = line if line.startswith("row") else f"line {line}"
        return f"'path' is {clip_text(raw.paths[row])}{span}, as in {line}", "keep one row a clip"

    return [Fault(np.array(sorted(earlier), dtype=np.int64), describe)]
