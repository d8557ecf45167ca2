"""Lists that name their columns: csv with a header, json of objects."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from marey.data.lists.listing import Listing
from marey.data.manifest.columns import Unit
from marey.data.manifest.faults import NUM_SHOWN, Said, clip_text, fault_error, numbered_records
from marey.errors import ManifestError

SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", " ": "space"}
PATH_NAMES = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "video", "video_path",
    "video_name", "video_file", "clip", "clip_path", "name", "id", "video_id", "youtube_id",
)  # fmt: skip
LABEL_NAMES = (
    "label", "class", "category", "action", "activity", "target", "label_name", "class_name",
    "action_name", "label_id", "class_id",
)  # fmt: skip
"""Column names in lower case; of several the one that stands first here."""
SPAN_NAMES: tuple[tuple[Unit, str, str], ...] = (
    ("seconds", "start", "end"),
    ("seconds", "start_timestamp", "stop_timestamp"),
    ("frames", "start_frame", "end_frame"),
)
"""Not Kinetics' time_start: that says where the clip lay in a video one no longer has."""


def is_table(path: Path) -> bool:
    """Whether the file begins with a header that names a path and a label."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline(1 << 16)
    except (OSError, UnicodeDecodeError):
        return False
    return any(is_header(header.split(separator)) for separator in SEPARATORS)


def _normal(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().strip('"').lower())


def _heads(names: Sequence[str]) -> dict[str, str]:
    """Head -> its column: EPIC's verb_class and noun_class, else the one label column."""
    if "verb_class" in names and "noun_class" in names:
        return {"verb": "verb_class", "noun": "noun_class"}
    found = [name for name in LABEL_NAMES if name in names]
    return {"label": found[0]} if found else {}


def is_header(fields: Sequence[str]) -> bool:
    """Whether the fields name a path and a label."""
    names = list(map(_normal, fields))
    return any(name in names for name in PATH_NAMES) and bool(_heads(names))


def read_table(path: Path, text: str, separator: str) -> Listing:
    """The rows of a table whose first line that is not blank is a header."""
    numbered = numbered_records(io.StringIO(text, newline=""), delimiter=separator)
    records = [(line, fields) for line, fields in numbered if any(map(str.strip, fields))]
    names = list(map(_normal, records[0][1]))
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        raise ManifestError(f"{path}:1: two columns are named {clip_text(twice[0])}")
    ragged = [(line, fields) for line, fields in records[1:] if len(fields) != len(names)]
    if ragged:
        said = [
            Said(
                f"{path}:{line}",
                f"{len(f)} fields, the header has {len(names)}: {clip_text(f)}",
                "",
            )
            for line, f in ragged[:NUM_SHOWN]
        ]
        raise fault_error(said, len(ragged))
    columns = {
        name: [fields[place] for _, fields in records[1:]] for place, name in enumerate(names)
    }
    if not records[1:]:
        raise ManifestError(f"{path}: no rows, only a header", "give at least one clip")
    path_name = next(name for name in PATH_NAMES if name in columns)
    heads = _heads(names)
    lines = [line for line, _ in records[1:]]
    unit, bounds, used = _table_bounds(path, columns, lines)
    found = f"a table with `{path_name}` and `{'`, `'.join(heads.values())}`"
    used |= {path_name, *heads.values()}
    return Listing(
        path,
        found_text(found, separator, len(lines)),
        columns[path_name],
        {head: columns[name] for head, name in heads.items()},
        lines,
        bounds,
        unit,
        {name: column for name, column in columns.items() if name not in used},
    )


def _table_bounds(
    path: Path, columns: dict[str, list[str]], lines: list[int]
) -> tuple[Unit, tuple[list[float], list[float]] | None, set[str]]:
    for unit, start, end in SPAN_NAMES:
        if start in columns and end in columns:
            bounds = [_seconds(path, name, columns[name], lines) for name in (start, end)]
            return unit, (bounds[0], bounds[1]), {start, end}
    return "seconds", None, set()


def _seconds(path: Path, name: str, column: list[str], lines: list[int]) -> list[float]:
    """Numbers, or times like 00:01:09.98; an empty cell is NaN."""
    numbers = []
    for line, cell in zip(lines, column, strict=True):
        match = re.fullmatch(r"\s*(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)\s*", cell, re.ASCII)
        if match:
            numbers.append(int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3]))
        elif not cell.strip():
            numbers.append(float("nan"))
        else:
            raise ManifestError(f"{path}:{line}: '{name}' is {clip_text(cell)}; expected a time")
    return numbers


def read_json(path: Path, text: str) -> Listing:
    """Something-Something: the class is the template without its brackets."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    wanted = "expected a list of objects with 'id' and 'template' or 'label'"
    if not isinstance(entries, list) or not entries:
        raise ManifestError(f"{path}: {wanted}")
    for number, entry in enumerate(entries, start=1):
        if (
            not isinstance(entry, dict)
            or not {"template", "label"} & entry.keys()
            or "id" not in entry
        ):
            raise ManifestError(f"{path}: entry {number} is {clip_text(entry)}; {wanted}")
    names = [str(e["template"] if "template" in e else e["label"]) for e in entries]
    labels = [name.replace("[", "").replace("]", "") for name in names]
    found = f"json of `id` and `template`, {len(entries):,} rows"
    return Listing(path, found, [str(entry["id"]) for entry in entries], {"label": labels})


def found_text(what: str, separator: str, num_rows: int) -> str:
    """What a list was read as, for people."""
    return f"{what}, {SEPARATORS[separator]}-separated, {num_rows:,} rows"
