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
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.plain_lists import RULSTM, read_plain
from marey.data.lists.rejects import FatalFaults
from marey.data.lists.tables import header_separator, read_json, read_table
from marey.data.lists.text_file import read_text
from marey.errors import ManifestError


def read_listing(path: Path) -> Listing:
    """The rows of a list in any of the formats above, and what it was read as.

    ManifestError names the first five lines that do not fit, or says what was expected.
    """
    file = read_text(path, FatalFaults())
    if path.suffix.lower() == ".json":
        return read_json(file)
    separator = header_separator(file.text.lstrip().partition("\n")[0])
    if separator is not None:
        return read_table(file, separator)
    plain = read_plain(file)
    rows = list(plain)
    file.faults.settle()
    if not rows:
        raise ManifestError(f"{path}: the list is empty", "give one clip a line")
    if plain.format is RULSTM:
        rows = _with_heads(rows)
    return Listing(path, f"{plain.format}, {len(rows):,} rows", rows, plain.format.unit)


def _with_heads(rows: Sequence[ListRow]) -> list[ListRow]:
    """RULSTM's rows with the heads of their data set: EPIC-KITCHENS' two, EGTEA Gaze+'s one."""
    of_epic = all(participant(row.path) for row in rows)
    names = {"verb": "verb", "noun": "noun"} if of_epic else {"label": "action"}
    return [
        row._replace(labels={head: row.labels[name] for head, name in names.items()})
        for row in rows
    ]
