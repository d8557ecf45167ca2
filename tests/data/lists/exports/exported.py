"""An export read as `marey data init` reads it, in the few words that tests compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

from marey.data.lists.listing import Listing
from marey.data.lists.lists import read_listing
from marey.data.lists.wanted_columns import WantedColumns

Clip: TypeAlias = tuple[str, str, float | None, float | None]


def read(path: Path, content: object, columns: str | None = None) -> Listing:
    """The listing of a file of this content: text, or a value to be written as JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return read_listing(path, WantedColumns.parse(columns))


def clips(listing: Listing) -> list[Clip]:
    """Path, label, start and end of every clip."""
    return [(row.path, row.labels["label"], row.start, row.end) for row in listing.rows]
