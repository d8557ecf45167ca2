"""What a list of clips says, in columns, before any file is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from marey.data.manifest.columns import Unit
from marey.data.manifest.faults import NUM_SHOWN, Said, fault_error
from marey.errors import ManifestError


@dataclass(frozen=True)
class Listing:
    """What a list says, in columns of one length, before any file is looked at."""

    source: Path
    found: str
    """What it was read as, for people."""
    paths: list[str]
    labels: dict[str, list[str]]
    """Head -> class name or number of every row, as written."""
    lines: list[int] = field(default_factory=list)
    """Where each row stands; empty if the source is no text of lines."""
    bounds: tuple[list[float], list[float]] | None = None
    """Starts and ends, NaN where open; frames from 0, end exclusive."""
    unit: Unit = "seconds"
    columns: dict[str, list[str]] = field(default_factory=dict)
    """All other columns, by name."""
    files: tuple[tuple[int, Path], ...] = ()
    """First row and file of each part, if the source is a folder of lists."""
    rates: list[float] | None = None
    """Frames a second of folders of frames."""

    def __len__(self) -> int:
        return len(self.paths)

    def place(self, row: int) -> str:
        """Where a row stands: file:line, or the folder."""
        file = [path for start, path in self.files if start <= row][-1:] or [self.source]
        return f"{file[0]}:{self.lines[row]}" if self.lines else str(file[0])

    def refuse(self, rows: Sequence[int], describe: Callable[[int], tuple[str, str]]) -> None:
        """Nothing if there are no rows, else ManifestError on the first five of them."""
        said = [Said(self.place(row), *describe(row)) for row in rows[:NUM_SHOWN]]
        if said:
            raise fault_error(said, len(rows))


def join_listings(folder: Path, parts: Mapping[str, Listing]) -> Listing:
    """One listing of the lists of several splits (name -> listing), with a column `split`."""
    listings = list(parts.values())
    first = listings[0]
    for other in listings[1:]:
        if _shape(other) != _shape(first):
            raise ManifestError(
                f"{first.source} is {first.found}, but {other.source} is {other.found}",
                "lists of one data set have one format",
            )
    starts = accumulate(map(len, listings[:-1]), initial=0)
    shared = set.intersection(*(set(part.columns) for part in listings)) - {"split"}
    bounds = [part.bounds for part in listings if part.bounds]
    return Listing(
        folder,
        "; ".join(f"{part.source.name}: {part.found}" for part in listings),
        [path for part in listings for path in part.paths],
        {head: [x for part in listings for x in part.labels[head]] for head in first.labels},
        [line for part in listings for line in part.lines],
        ([x for b in bounds for x in b[0]], [x for b in bounds for x in b[1]]) if bounds else None,
        first.unit,
        {name: [x for part in listings for x in part.columns[name]] for name in shared}
        | {"split": [split for split, part in parts.items() for _ in part.paths]},
        tuple(zip(starts, (part.source for part in listings), strict=True)),
    )


def _shape(listing: Listing) -> tuple[object, ...]:
    return listing.labels.keys(), listing.unit, listing.bounds is None
