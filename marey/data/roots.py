"""Roots of a manifest whose clips lie in several places: by their source, or by their list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.errors import ManifestError, did_you_mean
from marey.video.remote import Place, Url, place_of


@dataclass(frozen=True, eq=False)
class Roots:
    """One of several places for each row."""

    places: tuple[Place, ...]
    codes: np.ndarray
    """uint16 [n], in 0..len(places) - 1."""

    def of(self, row: int) -> Place:
        """Where the path of a row starts."""
        return self.places[int(self.codes[row])]

    def take(self, rows: np.ndarray) -> Roots:
        """Those of these rows (int64)."""
        return Roots(self.places, self.codes[rows])

    def parts(self) -> Iterator[tuple[Place, np.ndarray]]:
        """Each place that has rows, with them."""
        for code, place in enumerate(self.places):
            rows = np.flatnonzero(self.codes == code)
            if len(rows):
                yield place, rows


def roots_by_source(
    sources: pa.DictionaryArray | None, root: Place, roots: Mapping[str, str | Place]
) -> Roots:
    """The root of each row's source; `root` for a source that `roots` does not name.

    ManifestError for a name that is no source.
    """
    if sources is None:
        raise ManifestError("roots by source need a column 'source'", "give one root for all clips")
    names = sources.dictionary.to_pylist()
    for name in roots:
        if name not in names:
            raise ManifestError(f"no clip has the source {name!r}", did_you_mean(name, names))
    places = [place_of(roots.get(name, root)) for name in names]
    return _distinct(places, sources.indices.to_numpy())


def urls_as_roots(
    paths: pa.ChunkedArray, root: Place, urls: Sequence[str]
) -> tuple[pa.ChunkedArray, Roots | None]:
    """Paths, and roots of those that began with one of `urls`, of which the rest is left.

    So a row that is a url itself stays below one that the user named, as any row below its root.
    """
    codes = np.zeros(len(paths), np.uint16)
    for code, url in enumerate(urls, start=1):
        prefix = url.rstrip("/") + "/"
        found = pc.starts_with(paths, prefix)
        codes[found.to_numpy()] = code
        paths = pc.if_else(found, pc.utf8_slice_codeunits(paths, len(prefix)), paths)
    return paths, Roots((root, *map(Url, urls)), codes) if codes.any() else None


def joined_roots(parts: Sequence[tuple[Roots | Place, int]]) -> Roots:
    """The roots of rows that follow each other: those of a part, or one place for so many rows."""
    places: list[Place] = []
    codes = []
    for found, count in parts:
        part = found if isinstance(found, Roots) else Roots((found,), np.zeros(count, np.uint16))
        codes.append(part.codes.astype(np.int64) + len(places))
        places += part.places
    return _distinct(places, np.concatenate(codes))


def _distinct(places: Sequence[Place], codes: np.ndarray) -> Roots:
    """The same with every place once."""
    once = list(dict.fromkeys(places))
    return Roots(tuple(once), np.array([once.index(place) for place in places], np.uint16)[codes])
