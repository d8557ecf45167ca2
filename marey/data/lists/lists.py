"""Lists of clips as data sets and older toolboxes write them, told apart by what they hold.

| file                    | who writes it                                                       |
|-------------------------|---------------------------------------------------------------------|
| a header, then columns  | csv with a path and a label by any usual name; EPIC-KITCHENS        |
| json of id and template | Something-Something                                                 |
| lines of other kinds    | `marey.data.lists.plain_lists`                                      |

Nothing is guessed for a line that does not fit: it is an error with its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from marey.data.lists.epic import participant
from marey.data.lists.headers import header_separator
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.plain_lists import RULSTM, SAMPLE, read_plain
from marey.data.lists.rejects import FatalFaults, Faults
from marey.data.lists.tables import read_json, read_table
from marey.data.lists.text_file import TextFile, read_text
from marey.data.lists.wanted_columns import AS_NAMED, WantedColumns
from marey.data.manifest.paths import Folders
from marey.errors import ManifestError


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
    if path.suffix.lower() == ".json":
        return read_json(file)
    separator = separator_of_header(file, wanted, root)
    if separator is not None:
        return read_table(file, separator, wanted)
    plain = read_plain(file)
    rows = list(plain)
    file.faults.settle()
    if not rows:
        raise ManifestError(f"{path}: the list is empty", "give one clip a line")
    if plain.format is RULSTM:
        rows = _with_heads(rows)
    return Listing(
        source=path,
        format=f"{plain.format}, {len(rows):,} rows",
        rows=rows,
        unit=plain.format.unit,
    )


def is_table(path: Path, wanted: WantedColumns = AS_NAMED, *, root: Path | None = None) -> bool:
    """Whether a file begins with a header, as `read_listing` sees it."""
    try:
        file = read_text(path, Faults())
    except ManifestError:
        return False
    return separator_of_header(file, wanted, root) is not None


def separator_of_header(file: TextFile, wanted: WantedColumns, root: Path | None) -> str | None:
    """What separates the columns of the header that a list begins with; None if it has none."""
    lines = [line for line in file.text.split("\n", SAMPLE + 1)[:SAMPLE] if line.strip()]
    folders = Folders(root or file.path.parent)
    return header_separator(lines, wanted, lambda cell: folders.video(cell) is not None)


def _with_heads(rows: Sequence[ListRow]) -> list[ListRow]:
    """RULSTM's rows with the heads of their data set: EPIC-KITCHENS' two, EGTEA Gaze+'s one."""
    of_epic = all(participant(row.path) for row in rows)
    names = {"verb": "verb", "noun": "noun"} if of_epic else {"label": "action"}
    return [
        row._replace(labels={head: row.labels[name] for head, name in names.items()})
        for row in rows
    ]
