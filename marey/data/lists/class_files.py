"""Files of class names as data sets come with them.

| form                        | counts from                                                       |
|-----------------------------|-------------------------------------------------------------------|
| one name a line             | 0                                                                 |
| `id name` on every line     | as it says; also with tab, comma or semicolon                     |
| `name id` on every line     | as it says, without gaps, where names differ without their numbers|
| csv with a header           | as its column of ids says, else from 0; EPIC-KITCHENS' `id,key`   |
| json                        | names to ids, ids to names, or a list of names; Diving48's parts  |
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from marey.data.lists.annotations import Annotations
from marey.data.lists.class_names import expect_count
from marey.data.lists.rejects import FatalFaults, Misfit, SourceLine
from marey.data.lists.text_file import TextFile, read_text, whole
from marey.data.manifest.column_names import squashed
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError

KNOWN = (
    r"labels\.txt",
    r"(class|label)_?map.*\.(txt|csv|json)",
    r"class_?ids\.json",
    r"(id|idx|class|label)_?(2|to)_?(id|idx|class|label|name)\.json",
    r"class(es|_list|_names|ind)\.(txt|json)",
    r"categor(y|ies)\.txt",
    r".*(labels|classes|category|categories)\.csv",
    r".*labels\.json",
)
"""Names such files have, the surest first."""
_ID_NAME = re.compile(r"(?P<id>\d+)[\s,;]+(?P<name>.+)", re.ASCII)
_NAME_ID = re.compile(r"(?P<name>.+?)[\s,;]+(?P<id>\d+)(?:\s+\d+\.\d+)?", re.ASCII)
"""VideoLT's has the number of clips after the id."""
_KINDS = ("class", "label", "category", "action", "activity", "gloss", "verb", "noun")
_ID = re.compile(rf"(?:{'|'.join(_KINDS)})?(?:id|index|idx|number|num|no|nr)")
_NAMES = ("name", "key", *(f"{kind}{end}" for end in ("name", "key", "") for kind in _KINDS))
"""What columns of ids and of names are called, by letters alone; of names the surest first."""


def find_class_files(folder: Path, lists: Collection[Path]) -> list[Path]:
    """The files of class names in `folder` that are none of `lists`: those of the surest name.

    None if there is none, several where a person has to say which.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path not in lists)
    for pattern in KNOWN:
        matches = [name for name in names if re.fullmatch(pattern, name, re.IGNORECASE)]
        if matches:
            return [folder / name for name in matches]
    return []


def is_class_file(path: Path) -> bool:
    """Whether the name is one that files of class names have."""
    return any(re.fullmatch(pattern, path.name, re.IGNORECASE) for pattern in KNOWN)


def find_head_files(folder: Path, heads: Sequence[str]) -> dict[str, Path]:
    """Head -> the one file of its class names in `folder`: EPIC_100_verb_classes.csv of "verb"."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    files = {head: [n for n in names if n.endswith(f"{head}_classes.csv")] for head in heads}
    return {head: folder / names[0] for head, names in files.items() if len(names) == 1}


def read_class_ids(path: Path) -> dict[int, str]:
    """Class id -> class name, by rising id, of a file of any of the forms above."""
    file = read_text(path, FatalFaults())
    pairs = _pairs(file)
    file.faults.settle()
    ids = dict(sorted(pairs))
    if not ids or len(ids) < len(pairs) or not all(ids.values()):
        raise ManifestError(
            f"{path}: expected a name for every class and ids that differ",
            "write a name a line, or id,name",
        )
    for name, following in pairwise(sorted(ids.values())):
        if name == following:
            raise ManifestError(
                f"{path}: two classes are named {clip_text(name)}", "rename or remove one of them"
            )
    return ids


def numbered_names(
    files: Annotations, role: str, *num_classes: int, first: int | None = None
) -> list[str]:
    """The names of a file in the order of their ids, which begin at `first`, or anywhere.

    ManifestError unless all differ, with no gaps, and are as many as one of `num_classes`, if any.
    """
    pairs = sorted(_pairs(files.open(role)))
    names = [name for _, name in pairs]
    expect_count(files[role], names, *num_classes)
    first = pairs[0][0] if first is None else first
    with_gaps = _differ(_matches(_NAME_ID, names))  # else the names would not end in numbers
    if with_gaps or [number for number, _ in pairs] != list(range(first, first + len(pairs))):
        raise ManifestError(
            f"{files[role]}: expected the ids {first} to {first + len(pairs) - 1}, each once",
            "a number is missing or there twice",
        )
    return names


def _pairs(file: TextFile) -> list[tuple[int, str]]:
    """Ids and names as they stand in the file."""
    pairs = _from_json(file) if file.path.suffix == ".json" else _from_lines(file)
    return [(number, name.strip().strip('"').strip()) for number, name in pairs]


def _from_json(file: TextFile) -> list[tuple[int, str]]:
    content = file.json()
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return list(enumerate(content))
    if isinstance(content, dict):
        for pairs in ([(v, k) for k, v in content.items()], content.items()):
            ids = [(whole(str(number)), str(name)) for number, name in pairs]
            known = [(number, name) for number, name in ids if number is not None]
            if len(known) == len(ids):
                return known
    raise ManifestError(f"{file.path}: expected names and ids", 'for example {"jump": 0, "run": 1}')


def _from_lines(file: TextFile) -> list[tuple[int, str]]:
    lines = [text for _, text in file.lines()]
    if table := _columns(file, lines):
        separator, places = table
        rows = list(file.records(separator))[1:]
        pairs = list(file.faults.fitting(rows, partial(_row, *places)))
        return [(n if number is None else number, name) for n, (number, name) in enumerate(pairs)]
    trailing = _matches(_NAME_ID, lines)
    ids = sorted(number for number, _ in trailing)
    without_gaps = _differ(trailing) and ids == list(range(ids[0], ids[0] + len(ids)))
    return _matches(_ID_NAME, lines) or (trailing if without_gaps else list(enumerate(lines)))


def _columns(file: TextFile, lines: Sequence[str]) -> tuple[str, tuple[int | None, int]] | None:
    """The separator of a header, and the places of its ids, if it has them, and names.

    ManifestError if a column is like one of ids or names, and no column is clearly the names.
    """
    is_csv = file.path.suffix.lower() in (".csv", ".tsv")
    for separator in (",", ";", "\t") if lines else ():
        cells = [squashed(cell) for cell in lines[0].split(separator)]
        ids = [place for place, cell in enumerate(cells) if _ID.fullmatch(cell)]
        names = [cells.index(name) for name in _NAMES if name in cells]
        if len(cells) == 1 or not (ids or (names and is_csv)):
            continue
        if names and len(ids) < 2:
            return separator, (ids[0] if ids else None, names[0])
        if is_csv:
            raise ManifestError(
                f"{file.path}:1: which columns are the ids and names of classes is not clear:"
                f" {clip_text(lines[0])}",
                "call them id and name",
            )
    if is_csv and lines and squashed(lines[0]) in _NAMES:
        return ",", (None, 0)
    return None


def _differ(pairs: Sequence[tuple[int, str]]) -> bool:
    """Whether there are names, and no two alike: else the numbers belong to the names."""
    return bool(pairs) and len({name for _, name in pairs}) == len(pairs)


def _matches(pattern: re.Pattern[str], lines: Sequence[str]) -> list[tuple[int, str]]:
    """Ids and names of lines that all have the pattern; none if one has not."""
    matches = [match for line in lines if (match := pattern.fullmatch(line))]
    if len(matches) < len(lines):
        return []
    return [(int(match["id"]), match["name"]) for match in matches]


def _row(
    id_place: int | None, name_place: int, _: SourceLine, cells: list[str]
) -> tuple[int | None, str]:
    """Id and name of a row of a csv; None for a csv without ids."""
    if id_place is None:
        return None, cells[name_place]
    number = whole(cells[id_place].strip())
    if number is None:
        raise Misfit("expected a whole number, each once", value=cells[id_place])
    return number, cells[name_place]
