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
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from marey.data.lists.class_lists import read_class_list
from marey.data.lists.epic import participant
from marey.data.lists.exports.tools import read_export, tool_of
from marey.data.lists.frame_lists import is_frame_list, read_frame_list
from marey.data.lists.headers import header_separator, without_comments
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.plain_lists import (
    RULSTM,
    SAMPLE,
    PlainList,
    given_format,
    read_plain,
)
from marey.data.lists.rejects import FatalFaults, Faults
from marey.data.lists.tables import read_json, read_table
from marey.data.lists.text_file import TextFile, read_text
from marey.data.lists.wanted_columns import AS_NAMED, WantedColumns
from marey.data.manifest.faults import clip_text
from marey.data.manifest.header import NoLabels
from marey.data.manifest.paths import IMAGE, VIDEO
from marey.data.manifest.spellings import Spellings
from marey.errors import ManifestError, counted
from marey.storage.url import AnyPath

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
        wanted: what a person says of the columns of a table, or of the lines of a list.
        root: where its paths start (default: its folder).
    """
    listing = read_rows(path, wanted, root=root, read_lines=partial(_labelled_lines, wanted))
    _refuse_files_as_labels(path, listing.rows)
    _refuse_spans_as_labels(listing)
    if of_sides(listing):
        raise ManifestError(f"{path} is a list of HMDB51: it says sides, no classes", HMDB51_HINT)
    return listing


def read_rows(
    path: Path,
    wanted: WantedColumns,
    *,
    root: AnyPath | None,
    read_lines: Callable[[TextFile], tuple[PlainList, list[str]]],
) -> Listing:
    """As `read_listing`, but for what it refuses of labels.

    Args:
        read_lines: reads a list without a header, and says what there is to say of it.
    """
    file = read_text(path, FatalFaults())
    if tool_of(file) is None:  # whose exports may begin with lines of #
        file = without_comments(file)
    listing = _read_known(file, wanted, root)
    if listing is None:
        listing = _of_lines(path, *read_lines(file))
    return replace(listing, notes=[*file.notes, *listing.notes])


def _read_known(file: TextFile, wanted: WantedColumns, root: AnyPath | None) -> Listing | None:
    """The rows of a list that is an export, names its columns, or names and numbers classes."""
    if wanted.line:
        return None
    start = path if isinstance(path := root or file.path.parent, Path) else file.path.parent
    export = read_export(file, wanted, root=start)
    if export is not None:
        return export
    if file.path.suffix.lower() == ".json":
        return read_json(file, wanted)
    if is_frame_list(file):
        return read_frame_list(file)
    separator = separator_of_header(file, wanted, root)
    return read_class_list(file) if separator is None else read_table(file, separator, wanted)


def _labelled_lines(wanted: WantedColumns, file: TextFile) -> tuple[PlainList, list[str]]:
    form = None
    if wanted.line:
        form = given_format(wanted.line, [text for _, text in file.lines()])
        if not form.has_labels:
            raise NoLabels(f"{file.path}: `{form.title}` has no labels", "`marey predict` takes it")
    return read_plain(file, form), []


def _of_lines(path: Path, plain: PlainList, notes: list[str]) -> Listing:
    rows = list(plain)
    plain.faults.settle()
    if not rows:
        raise ManifestError(f"{path}: the list is empty", "give one clip a line")
    if plain.format is RULSTM:
        rows = _with_heads(rows)
    return Listing(
        source=path,
        format=f"{plain.format}, {counted(len(rows), 'row')}",
        rows=rows,
        unit=plain.format.unit,
        notes=notes,
    )


def of_hmdb51(path: Path) -> bool:
    """Whether a list is called as those of HMDB51, one a class and split."""
    return re.fullmatch(r".+_test_split[123]\.txt", path.name) is not None


def of_sides(listing: Listing) -> bool:
    """Whether the labels of a list of HMDB51 are sides: neither, train and test."""
    labels = {row.labels.get("label") for row in listing.rows}
    return of_hmdb51(listing.source) and labels <= {"0", "1", "2"}


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


def separator_of_header(file: TextFile, wanted: WantedColumns, root: AnyPath | None) -> str | None:
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
