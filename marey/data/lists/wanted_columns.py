"""What a person says of the columns of a list: `--columns path=video,label=gloss --ignore note`.

Of a list without a header it is what its lines are: `--columns "path start end"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from marey.data.lists.plain_lists import TITLES
from marey.data.manifest.column_names import squashed
from marey.data.manifest.time_names import SUFFIXES, TimeUnit
from marey.errors import ManifestError, did_you_mean

HEADS = ("label", "verb", "noun")
UNIT_OF: Mapping[str, TimeUnit] = {
    f"{edge}{SUFFIXES[unit]}": unit
    for unit in SUFFIXES
    for edge in ("start", "end", "duration", "intervals")
}
ROLES = ("path", *HEADS, "label_number", "split", "group", "fold", "id", *UNIT_OF)


@dataclass(frozen=True)
class WantedColumns:
    """What a person says of the columns of a list."""

    roles: Mapping[str, str] = field(default_factory=dict)
    """One of `ROLES` -> the name of its column."""
    ignored: Sequence[str] = ()
    """Names of columns that are to be left."""
    line: str = ""
    """What the lines of a list without a header are, one of `plain_lists.TITLES`; "" if unsaid."""
    needs_labels: bool = True
    """Whether a list without labels is refused."""

    @classmethod
    def parse(cls, columns: str | None, ignore: str | None = None) -> Self:
        """Of options as they are typed; ManifestError if they are none.

        >>> WantedColumns.parse("path=video, label=gloss", "note,Take 2")
        WantedColumns(roles={'path': 'video', 'label': 'gloss'}, ignored=('note', 'Take 2'), \
line='', needs_labels=True)
        >>> WantedColumns.parse("path start end").line
        'path start end'
        """
        if columns and "=" not in columns:
            return cls(line=_line(columns), ignored=tuple(_parts(ignore)))
        roles: dict[str, str] = {}
        for part in _parts(columns):
            role, equals, name = (word.strip() for word in part.partition("="))
            if role not in ROLES:
                raise ManifestError(f"{role!r} is no role of a column", did_you_mean(role, ROLES))
            if not equals or not name or role in roles:
                raise ManifestError(f"{columns!r} names no columns", "write path=video,label=gloss")
            roles[role] = name
        return cls(roles, tuple(_parts(ignore)))


AS_NAMED = WantedColumns()
"""Columns are what their names say."""


def find_name(wanted: str, names: Sequence[str]) -> str | None:
    """The one of the names that is meant, whatever its letter case and signs; None if none is."""
    if wanted in names:
        return wanted
    return next((name for name in names if squashed(name) == squashed(wanted) != ""), None)


def _line(columns: str) -> str:
    """The title of a line that is spelled with blanks or commas; ManifestError if it is none."""
    title = next((each for each in TITLES if _words(each) == _words(columns)), None)
    if title is None:
        shown = ", ".join(f"'{each}'" for each in TITLES)
        raise ManifestError(
            f"{columns!r} names no columns",
            f"write path=video,label=gloss; of a list without a header, what a line is: {shown}",
        )
    return title


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
