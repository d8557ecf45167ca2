"""Files of class names as data sets come with them.

| form                        | counts from                                                       |
|-----------------------------|-------------------------------------------------------------------|
| one name a line             | 0                                                                 |
| `id name` on every line     | as it says; also with tab, comma or semicolon                     |
| `name id` on every line     | as it says, without gaps, where names differ without their numbers|
| csv with an id and a name   | as it says; EPIC-KITCHENS' `id,key`                               |
| json                        | names to ids, ids to names, or a list of names; Diving48's parts  |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from marey.data.lists.annotations import Annotations
from marey.data.lists.class_names import expect_count
from marey.data.lists.rejects import FatalFaults, Misfit, SourceLine
from marey.data.lists.text_file import TextFile, read_text, whole
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
_ID_NAME = re.compile(r"(?P<id>\d+)[\s,;]+(?P<name>.+)", re.ASCII)
_NAME_ID = re.compile(r"(?P<name>.+?)[\s,;]+(?P<id>\d+)(?:\s+\d+\.\d+)?", re.ASCII)
"""VideoLT's has the number of clips after the id."""


def find_class_file(source: Path) -> Path | None:
    """The file of class names beside the list `source`; None if there is none, or several."""
    folder = source.parent
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path != source)
    for pattern in KNOWN:
        matches = [name for name in names if re.fullmatch(pattern, name, re.IGNORECASE)]
        if len(matches) == 1:
            return folder / matches[0]
    return None


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
        raise ManifestError(f"{path}: expected a name for every class and ids that differ")
    for name, following in pairwise(sorted(ids.values())):
        if name == following:
            raise ManifestError(f"{path}: two classes are named {clip_text(name)}")
    return ids


def numbered_names(
    files: Annotations, role: str, *num_classes: int, first: int | None = None
) -> list[str]:
    """The names of a file in the order of their ids, which begin at `first`, or anywhere.

    ManifestError unless there are as many as one of `num_classes`, all different, with no gaps.
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
    header = [name.strip().lower() for name in lines[0].split(",")] if lines else []
    name = next((name for name in ("name", "key", "label", "class") if name in header), None)
    if name and "id" in header:
        id_place, name_place = header.index("id"), header.index(name)
        rows = list(file.records())[1:]
        return list(file.faults.fitting(rows, partial(_row, id_place, name_place)))
    trailing = _matches(_NAME_ID, lines)
    ids = sorted(number for number, _ in trailing)
    without_gaps = _differ(trailing) and ids == list(range(ids[0], ids[0] + len(ids)))
    return _matches(_ID_NAME, lines) or (trailing if without_gaps else list(enumerate(lines)))


def _differ(pairs: Sequence[tuple[int, str]]) -> bool:
    """Whether there are names, and no two alike: else the numbers belong to the names."""
    return bool(pairs) and len({name for _, name in pairs}) == len(pairs)


def _matches(pattern: re.Pattern[str], lines: Sequence[str]) -> list[tuple[int, str]]:
    """Ids and names of lines that all have the pattern; none if one has not."""
    matches = [match for line in lines if (match := pattern.fullmatch(line))]
    if len(matches) < len(lines):
        return []
    return [(int(match["id"]), match["name"]) for match in matches]


def _row(id_place: int, name_place: int, _: SourceLine, cells: list[str]) -> tuple[int, str]:
    """Id and name of a row of a csv."""
    number = whole(cells[id_place].strip())
    if number is None:
        raise Misfit("expected a whole number, each once", value=cells[id_place])
    return number, cells[name_place]
