"""What the cells and rows of a manifest must be: each rule marks all rows that break it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.manifest.classes import Heads, read_labels
from marey.data.manifest.columns import (
    BOUNDS,
    FOLD,
    ID,
    NUMBERS,
    TEXTS,
    WHOLE,
    Unit,
    Values,
    as_array,
    as_codes,
)
from marey.data.manifest.duplicates import text_buffers
from marey.data.manifest.faults import Fault, clip_text, refuse, row_names
from marey.data.manifest.formats import RawTable
from marey.data.manifest.manifest import Manifest


def checked_manifest(path: Path, raw: RawTable, heads: Heads | None) -> Manifest:
    """The manifest in the file at `path`, whose clips lie beside it; see `read_manifest`.

    ManifestError with the first cells that break a rule, else with rows that give a clip again.
    """
    table, others = raw.table, [name for name in raw.table.column_names if name not in raw.heads]
    columns: dict[str, Values] = {"path": table["path"]}
    classes: dict[str, tuple[str, ...]] = {}
    label_faults: list[Fault] = []
    for head in raw.heads:
        wanted = None if heads is None else heads[head]
        labels, names, wrong = read_labels(path, table[head], head, wanted, raw.classes.get(head))
        columns[head], classes[head] = labels, names
        label_faults.append(wrong)
    codes = {name: as_codes(table[name]) for name in TEXTS if name in others}
    texts = {name: table[name] for name in ("path", ID) if name in others}
    numerals = table.select([n for n in NUMBERS if n in others])
    if FOLD in numerals.column_names:
        folds, unread = _parsed(FOLD, as_codes(table[FOLD]))
        refuse(path, [unread])
        place = numerals.column_names.index(FOLD)
        numerals = numerals.set_column(place, FOLD, pa.array(folds))
    numbers, number_faults = _numbers(numerals)
    empty = [_empty_fault(name, column) for name, column in codes.items()]
    refuse(path, [*_text_faults(texts), *number_faults, *empty, *label_faults])
    columns |= codes | texts | numbers
    manifest = Manifest.from_columns(path, path.parent, columns, classes)
    refuse(path, [_duplicates_fault(path, manifest)])
    return replace(manifest, features=raw.features)


def refuse_cells(path: Path, manifest: Manifest) -> None:
    """ManifestError with the first cells of a mapped manifest that no list of clips may have."""
    table = manifest.table
    own = [name for name in table.column_names if name not in manifest.classes]
    codes = {name: as_codes(table[name]) for name in TEXTS if name in own}
    numbers = table.select([name for name in NUMBERS if name in own])
    for name in (name for name in WHOLE if name in own):
        counts = as_array(table[name])
        place = numbers.column_names.index(name)
        known = pa.array(counts.astype(np.float64), mask=counts == -1)
        numbers = numbers.set_column(place, name, known)
    empty = [_empty_fault(name, column) for name, column in codes.items()]
    texts = {name: table[name] for name in ("path", ID) if name in own}
    refuse(path, [*_text_faults(texts), *_numbers(numbers)[1], *empty])


def _text_faults(texts: Mapping[str, pa.ChunkedArray]) -> list[Fault]:
    """Paths that are empty, paths and ids that do not fit on a line."""
    empty = np.flatnonzero(pc.equal(pc.binary_length(texts["path"]), 0).to_numpy())
    remedies = {"path": "rename the file", ID: "give it another id"}
    return [
        Fault(empty, lambda _: "'path' is empty", "give the clip's file or remove the row"),
        *(_broken_fault(name, column, remedies[name]) for name, column in texts.items()),
    ]


def _broken_fault(name: str, column: pa.ChunkedArray, remedy: str) -> Fault:
    rows = np.zeros(0, np.int64)
    if any(text_buffers(chunk)[1].min(initial=32) < 32 for chunk in column.chunks):
        rows = np.flatnonzero(pc.match_substring_regex(column, "[\r\n\0]").to_numpy())
    return Fault(
        rows,
        lambda row: f"'{name}' is {clip_text(column[row])}, with a line break or a zero byte",
        remedy,
    )


def _parsed(name: str, column: pa.DictionaryArray) -> tuple[np.ndarray, Fault]:
    """The numbers in coded text, float64 [n], NaN where it is empty, and the rows with others."""
    texts = column.dictionary.to_pylist()
    numbers = [_number(text) if text.strip() else np.nan for text in texts]
    wrong = np.array([number is None for number in numbers], bool)
    codes = column.indices.to_numpy()
    fault = Fault(
        np.flatnonzero(wrong[codes]),
        lambda row: f"'{name}' is {clip_text(column[row])}; expected a whole number from 0",
        _REMEDIES[name],
    )
    return np.array(numbers, np.float64)[codes], fault


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _numbers(table: pa.Table) -> tuple[dict[str, np.ndarray], list[Fault]]:
    """Folds, spans, frame counts and rates, and what is wrong with them."""
    numbers = {n: pc.fill_null(table[n], np.nan).to_numpy() for n in table.column_names}
    faults: list[Fault] = []
    for unit, (start, end) in BOUNDS.items():
        if start in numbers:
            numbers.setdefault(end, np.full(len(table), np.nan))
            faults += _span_faults(numbers, unit)
    for name in (name for name in WHOLE if name in numbers):
        counts, least = numbers[name], int(name == "num_frames")
        wrong = ~np.isnan(counts) & ~((counts >= least) & (counts < 2**53) & (counts % 1 == 0))
        faults.append(
            _number_fault(name, counts, wrong, f"a whole number from {least}", _REMEDIES[name])
        )
        unknown = wrong | np.isnan(counts)
        numbers[name] = np.where(unknown, -1, counts).astype(np.int64)
    if "fps" in numbers:
        wrong = (numbers["fps"] <= 0) | np.isinf(numbers["fps"])
        faults.append(_number_fault("fps", numbers["fps"], wrong, "frames a second"))
    return numbers, faults


_UNKNOWN = "leave it empty if it is not known"
_REMEDIES = {"fold": "leave it empty if the clip is in none", "num_frames": _UNKNOWN}


def _number_fault(
    name: str,
    numbers: np.ndarray,
    wrong: np.ndarray,
    expected: str,
    remedy: str = _UNKNOWN,
) -> Fault:
    return Fault(
        np.flatnonzero(wrong),
        lambda row: f"'{name}' is {numbers[row]:g}; expected {expected}",
        remedy,
    )


def _span_faults(numbers: Mapping[str, np.ndarray], unit: Unit) -> list[Fault]:
    expected = "seconds from 0" if unit == "seconds" else "a whole number of frames from 0"
    faults = []
    for name in BOUNDS[unit]:
        bounds = numbers[name]
        wrong = (bounds < 0) | np.isinf(bounds)
        if unit == "frames":
            wrong |= np.nan_to_num(bounds) % 1 != 0
        faults.append(_number_fault(name, bounds, wrong, expected, ""))
    start, end = BOUNDS[unit]
    starts, ends = numbers[start], numbers[end]
    late = Fault(
        np.flatnonzero(ends <= np.nan_to_num(starts)),
        lambda row: f"'{end}' {ends[row]:g} is not after '{start}' {starts[row]:g}",
        "the end is exclusive, an empty cell is open",
    )
    return [*faults, late]


def _empty_fault(name: str, column: pa.DictionaryArray) -> Fault:
    empty = pc.equal(column.dictionary, "").to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(empty[column.indices.to_numpy()])
    remedy = "write train, val or test" if name == "split" else f"name the {name} of every clip"
    return Fault(rows, lambda _: f"'{name}' is empty", remedy)


def _duplicates_fault(path: Path, manifest: Manifest) -> Fault:
    earlier = manifest.duplicates()
    same = [] if manifest.starts is None else ["span"]
    same += [] if manifest.ids is None else ["id"]

    def message(row: int) -> str:
        span = f" with the same {' and '.join(same)}" if same else ""
        (name,) = row_names(path, [earlier[row]])
        line = name.removeprefix(f"{path}:")
        line = line if line.startswith("row") else f"line {line}"
        return f"'path' is {clip_text(manifest.paths[row])}{span}, as in {line}"

    return Fault(np.array(sorted(earlier), dtype=np.int64), message, "keep one row a clip")
