"""What a list of clips says, row by row, before any file is looked at."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from marey.data.lists.rejects import FatalFaults, SourceLine
from marey.data.manifest.columns import Unit
from marey.data.manifest.faults import clip_text
from marey.data.manifest.paths import VIDEO
from marey.errors import ManifestError


class ListRow(NamedTuple):
    """One clip of a list, its labels as they are written."""

    line: SourceLine
    path: str
    labels: Mapping[str, str]
    """Head -> class name or number; ``3|17`` is several."""
    start: float | None = None
    """In the unit of the listing, from 0, the end exclusive; None or NaN is open."""
    end: float | None = None
    num_frames: int | None = None
    """As the list says, which may be of other frames than those at hand."""
    id: str = ""
    """What the list calls the clip, where one span may be annotated twice."""
    rate: float | None = None
    """Frames a second of a folder of frames."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All rows of a list, or of a folder of lists."""

    source: Path
    format: str
    """What it was read as, for people."""
    rows: list[ListRow]
    unit: Unit = "seconds"
    columns: dict[str, list[str]] = field(default_factory=dict)
    """What else the list says of every row, by the names of its columns."""
    used: Mapping[str, str] = field(default_factory=dict)
    """What columns are read as -> their names: `path`, `label`, `start`, `split`, ..."""
    class_names: Mapping[int, str] = field(default_factory=dict)
    """Number -> name of classes, where the list has both."""
    notes: list[str] = field(default_factory=list)
    """What there is to say of how it was read."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def heads(self) -> list[str]:
        """The heads that every row has a label of."""
        return list(self.rows[0].labels)

    @property
    def has_spans(self) -> bool:
        """Whether some rows are parts of their files."""
        return any(row.start is not None or row.end is not None for row in self.rows)

    def refuse(self, rows: Sequence[int], describe: Callable[[int], tuple[str, str]]) -> None:
        """Nothing if there are no rows, else ManifestError; `describe` gives reason and remedy."""
        faults = FatalFaults()
        num_on = Counter(row.line for row in self.rows) if rows else {}
        for row in rows:
            clip, (reason, remedy) = self.rows[row], describe(row)
            shown = clip_text(clip.path)
            if num_on[clip.line] > 1 and shown not in reason:  # all of a JSON file may be one line
                reason = f"{reason}, of {shown}"
            faults.add(clip.line, "", reason, remedy)
        faults.settle()


def join_listings(folder: Path, parts: Mapping[str, Listing]) -> Listing:
    """One listing of the lists of several splits (name -> listing), with a column `split`."""
    listings = list(parts.values())
    first = listings[0]
    for other in listings[1:]:
        if _shape(other) != _shape(first):
            raise ManifestError(
                f"{first.source} is {first.format}, but {other.source} is {other.format}",
                "lists of one data set have one format",
            )
    shared = set.intersection(*(set(part.columns) for part in listings)) - {"split"}
    columns = {name: [x for part in listings for x in part.columns[name]] for name in shared}
    columns["split"] = [split for split, part in parts.items() for _ in part.rows]
    formats = "; ".join(f"{part.source.name}: {part.format}" for part in listings)
    rows = [row for part in listings for row in part.rows]
    return Listing(
        source=folder,
        format=formats,
        rows=rows,
        unit=first.unit,
        columns=columns,
        used=first.used,
        class_names=_joined_names(listings),
        notes=[note for part in listings for note in part.notes],
    )


def video_name(path: str) -> str:
    """The last part of a path, without the suffix of a video.

    >>> video_name("Archery/v_Archery_g01_c01.avi"), video_name("hug/a_v1.2_np1")
    ('v_Archery_g01_c01', 'a_v1.2_np1')
    """
    return without_suffix(path.replace("\\", "/").rstrip("/").rpartition("/")[2])


def without_suffix(path: str) -> str:
    """A path without the suffix of a video; a dot in another place stays."""
    return os.path.splitext(path)[0] if VIDEO.fullmatch(path) else path  # noqa: PTH122


def _joined_names(listings: Sequence[Listing]) -> dict[int, str]:
    """The names of classes by number, which lists must not give in two ways."""
    names: dict[int, str] = {}
    for listing in listings:
        for number, name in listing.class_names.items():
            if names.setdefault(number, name) != name:
                raise ManifestError(
                    f"class {number} is {names[number]!r} in {listings[0].source}, {name!r} in"
                    f" {listing.source}",
                    "name the column of labels: --columns label=COLUMN",
                )
    return names


def _shape(listing: Listing) -> tuple[object, ...]:
    return listing.heads, listing.unit, listing.has_spans
