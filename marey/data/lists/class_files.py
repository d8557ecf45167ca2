"""Files of class names as data sets come with them: one name a line, `id name`, csv, json."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError

KNOWN = (
    r"labels\.txt",
    r"label_?map.*\.txt",
    r"class_?ids\.json",
    r"class(es|_list|_names|ind)\.txt",
    r"categor(y|ies)\.txt",
    r".*(labels|classes|category|categories)\.csv",
    r".*labels\.json",
)
"""Names such files have, the surest first."""


def find_class_file(source: Path) -> Path | None:
    """The file of class names beside the list `source`; None if there is none, or several."""
    folder = source.parent
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path != source)
    for pattern in KNOWN:
        found = [name for name in names if re.fullmatch(pattern, name, re.IGNORECASE)]
        if len(found) == 1:
            return folder / found[0]
    return None


def find_head_files(folder: Path, heads: Sequence[str]) -> dict[str, Path]:
    """Head -> the one file of its class names in `folder`: EPIC_100_verb_classes.csv of "verb"."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    found = {head: [n for n in names if n.endswith(f"{head}_classes.csv")] for head in heads}
    return {head: folder / files[0] for head, files in found.items() if len(files) == 1}


def read_class_ids(path: Path) -> dict[int, str]:
    """Class id -> class name, by rising id, as the file counts: from 0, from 1 or with gaps.

    One name a line counts from 0. Other forms: `id name` or `name id` on every line, separated by
    space, tab, comma or semicolon, VideoLT's `name id clips` among them; a csv with the columns id
    and name; json of names to ids, of ids to names, or a list of names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot read the class names in {path}: {error}") from error
    pairs = _from_json(path, text) if path.suffix == ".json" else _from_lines(text)
    ids = {number: name.strip().strip('"').strip() for number, name in pairs}
    names = sorted(ids.values())
    if not ids or len(ids) < len(pairs) or not all(names):
        raise ManifestError(f"{path}: expected a name for every class and ids that differ")
    for name, following in pairwise(names):
        if name == following:
            raise ManifestError(f"{path}: two classes are named {clip_text(name)}")
    return dict(sorted(ids.items()))


def _from_json(path: Path, text: str) -> list[tuple[int, str]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return list(enumerate(content))
    if isinstance(content, dict):
        items = [(str(key), str(value)) for key, value in content.items()]
        if all(value.isdecimal() for _, value in items):
            return [(int(value), key) for key, value in items]
        if all(key.isdecimal() for key, _ in items):
            return [(int(key), value) for key, value in items]
    raise ManifestError(f"{path}: expected names and ids", 'for example {"jump": 0, "run": 1}')


def _from_lines(text: str) -> list[tuple[int, str]]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    table = _from_table(text)
    if table:
        return table
    leading = [re.fullmatch(r"(\d+)[\s,;]+(.+)", line) for line in lines]
    if all(leading):
        return [(int(match[1]), match[2]) for match in leading if match]
    trailing = [re.fullmatch(r"(.+?)[\s,;]+(\d+)(?:\s+\d+\.\d+)?", line) for line in lines]
    ids = sorted(int(match[2]) for match in trailing if match)
    if lines and ids == list(range(ids[0] if ids else 0, len(lines) + (ids[0] if ids else 0))):
        return [(int(match[2]), match[1]) for match in trailing if match]
    return list(enumerate(lines))


def _from_table(text: str) -> list[tuple[int, str]]:
    """The rows of a csv whose header names an id and a name; empty if this is none."""
    rows = list(csv.reader(io.StringIO(text)))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    named = [name for name in ("name", "key", "label", "class") if name in header]
    if "id" not in header or not named:
        return []
    number, name = header.index("id"), header.index(named[0])
    full = [row for row in rows[1:] if len(row) == len(header) and row[number].strip().isdecimal()]
    return [(int(row[number]), row[name]) for row in full]
