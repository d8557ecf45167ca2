"""Lists of clips as data sets and older toolboxes write them, told apart by what they hold.

| file                    | who writes it                                                       |
|-------------------------|---------------------------------------------------------------------|
| a header, then columns  | csv with a path and a label by any usual name; EPIC-KITCHENS        |
| json of objects         | their keys are columns; Something-Something's id and template       |
| exports                 | labelling tools: `marey.data.lists.exports.tools`                   |
| a line a frame          | `marey.data.lists.frame_lists`: PySlowFast, Motionformer            |
| `path;class;number`     | `marey.data.lists.class_lists`                                      |
| lines of other kinds    | `marey.data.lists.plain_lists`                                      |

Nothing is guessed for a line that does not fit: it is an error with its number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from marey.data.lists.class_lists import read_class_list
from marey.data.lists.epic import participant
from marey.data.lists.exports.tools import read_export, tool_of
from marey.data.lists.frame_lists import is_frame_list, read_frame_list
from marey.data.lists.headers import header_separator, without_comments
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.plain_lists import RULSTM, SAMPLE, read_plain
from marey.data.lists.rejects import FatalFaults, Faults
from marey.data.lists.tables import read_json, read_table
from marey.data.lists.text_file import TextFile, read_text
from marey.data.lists.wanted_columns import AS_NAMED, WantedColumns
from marey.data.manifest.faults import clip_text
from marey.data.manifest.header import NoLabels
from marey.data.manifest.paths import IMAGE, VIDEO
from marey.data.manifest.spellings import Spellings
from marey.errors import ManifestError

HMDB51_HINT = (
    "`marey data prepare hmdb51-split1 --root CLIPS --annotations FOLDER` reads all of them"
)
_TIMED = re.compile(r"[^\s;]+ \d+(\.\d+)? \d+(\.\d+)?(;.+)?", re.ASCII)


def read_listing(
    path: Path, wanted: WantedColumns = AS_NAMED, *, root: Path | None = None
) -> Listing:
    """The rows of a list in any of the formats above, and what it was read as.

    ManifestError names the first five lines that do not fit, or says what was expected.

    Args:
        wanted: what a person says of the columns of a table.
        root: where its paths start (default: its folder).
    """
    file = read_text(path, FatalFaults())
    if tool_of(file) is None:  # whose exports may begin with lines of #
        file = without_comments(file)
    listing = _read(file, wanted, root)
    _refuse_spans_as_labels(listing)
    return replace(listing, notes=[*file.notes, *listing.notes])


def _read(file: TextFile, wanted: WantedColumns, root: Path | None) -> Listing:
    path = file.path
    export = read_export(file, wanted, root=root or path.parent)
    if export is not None:
        return export
    if path.suffix.lower() == ".json":
        return read_json(file, wanted)
    if is_frame_list(file):
        return read_frame_list(file)
    separator = separator_of_header(file, wanted, root)
    if separator is not None:
        return read_table(file, separator, wanted)
    with_numbers = read_class_list(file)
    if with_numbers is not None:
        return with_numbers
    plain = read_plain(file)
    rows = list(plain)
    file.faults.settle()
    if not rows:
        raise ManifestError(f"{path}: the list is empty", "give one clip a line")
    if plain.format is RULSTM:
        rows = _with_heads(rows)
    _refuse_files_as_labels(path, rows)
    if of_hmdb51(path) and {row.labels.get("label") for row in rows} <= {"0", "1", "2"}:
        raise ManifestError(f"{path} is a list of HMDB51: it says sides, no classes", HMDB51_HINT)
    return Listing(
        source=path,
        format=f"{plain.format}, {len(rows):,} rows",
        rows=rows,
        unit=plain.format.unit,
    )


def of_hmdb51(path: Path) -> bool:
    """Whether a list is called as those of HMDB51, one a class and split."""
    return re.fullmatch(r".+_test_split[123]\.txt", path.name) is not None


def is_table(path: Path, wanted: WantedColumns = AS_NAMED, *, root: Path | None = None) -> bool:
    """Whether a file is a table of clips: a header, and below it names of videos."""
    try:
        file = without_comments(read_text(path, Faults()))
    except ManifestError:
        return False
    separator = separator_of_header(file, wanted, root)
    if separator is None:
        return False
    files = Spellings(root or path.parent)
    cells = {cell.strip(' "') for line in _first_lines(file)[1:] for cell in line.split(separator)}
    return any(VIDEO.fullmatch(cell) or (cell and _is_clip(files, cell)) for cell in cells)


def _is_clip(files: Spellings, name: str) -> bool:
    """Whether there is a video of this name, or a folder of images; a class has folders too."""
    found = files.find(name).path
    return found is not None and bool(
        VIDEO.fullmatch(found) or any(map(IMAGE.fullmatch, files.names(found)))
    )


def separator_of_header(file: TextFile, wanted: WantedColumns, root: Path | None) -> str | None:
    """What separates the columns of the header that a list begins with; None if it has none."""
    lines = _first_lines(file)
    files = Spellings(root or file.path.parent)
    return header_separator(lines, wanted, partial(_is_clip, files))


def _first_lines(file: TextFile) -> list[str]:
    return [line for line in file.text.split("\n", SAMPLE + 1)[:SAMPLE] if line.strip()]


def _refuse_files_as_labels(path: Path, rows: Sequence[ListRow]) -> None:
    """NoLabels if the labels are names of videos: a list with an id and a path, say."""
    labels = [label for row in rows for label in row.labels.values()]
    if 2 * sum(bool(VIDEO.fullmatch(label)) for label in labels) > len(labels):
        raise NoLabels(
            f"{path}: no labels: the last column has files, as {clip_text(labels[0])}",
            "give `path label` on every line, or a header that names the columns",
        )


def _refuse_spans_as_labels(listing: Listing) -> None:
    """ManifestError if labels are classes with times, as Charades writes `c092 11.9 21.2;c147 ...`.

    Each such text would be a class.
    """
    labels = [text for row in listing.rows for text in row.labels.values() if text]
    timed = [text for text in labels if _TIMED.fullmatch(text)]
    if 2 * len(timed) > len(labels):
        raise ManifestError(
            f"{listing.source}: labels are classes with times, as {clip_text(timed[0])}",
            "write a line for each, with the columns path,label,start,end",
        )


def _with_heads(rows: Sequence[ListRow]) -> list[ListRow]:
    """RULSTM's rows with the heads of their data set: EPIC-KITCHENS' two, EGTEA Gaze+'s one."""
    of_epic = all(participant(row.path) for row in rows)
    names = {"verb": "verb", "noun": "noun"} if of_epic else {"label": "action"}
    return [
        row._replace(labels={head: row.labels[name] for head, name in names.items()})
        for row in rows
    ]
