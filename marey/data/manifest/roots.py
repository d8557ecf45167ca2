"""Roots of a manifest whose clips lie in several places: by their source, or by their list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.errors import ManifestError, did_you_mean
from marey.storage.url import AnyPath, Url, any_path


@dataclass(frozen=True, eq=False)
class Roots:
    """One of several places for each row."""

    places: tuple[AnyPath, ...]
    codes: np.ndarray
    """uint16 [n], in 0..len(places) - 1."""

    def of(self, row: int) -> AnyPath:
        """Where the path of a row starts."""
        return self.places[int(self.codes[row])]

    def take(self, rows: np.ndarray) -> Roots:
        """Those of these rows (int64)."""
        return Roots(self.places, self.codes[rows])

    def digest(self) -> str:
        """Sha256 of the places and of which is whose."""
        total = sha256("\n".join(str(place.absolute()) for place in self.places).encode())
        total.update(np.ascontiguousarray(self.codes).data)
        return total.hexdigest()

    def parts(self) -> Iterator[tuple[AnyPath, np.ndarray]]:
        """Each place that has rows, with them."""
        for code, place in enumerate(self.places):
            rows = np.flatnonzero(self.codes == code)
            if len(rows):
                yield place, rows


def roots_by_source(
    sources: pa.DictionaryArray | None, roots: Roots, named: Mapping[str, str | AnyPath]
) -> Roots:
    """`roots`, but for rows of the sources that have one of their own.

    A list may lack some of the named sources, as one to test on does; ManifestError if all.
    """
    if sources is None:
        raise ManifestError("roots by source need a column 'source'", "give one root for all clips")
    names = sources.dictionary.to_pylist()
    codes = roots.codes.astype(np.int64)
    if not any(name in names for name in named):
        name = next(iter(named))
        raise ManifestError(f"no clip has the source {name!r}", did_you_mean(name, names))
    for code, name in enumerate(named, start=len(roots.places)):
        if name in names:
            codes[sources.indices.to_numpy() == names.index(name)] = code
    return _distinct([*roots.places, *map(any_path, named.values())], codes)


def one_root(place: AnyPath, num_rows: int) -> Roots:
    """The same place for all rows."""
    return Roots((place,), np.zeros(num_rows, np.uint16))


def urls_as_roots(
    paths: pa.ChunkedArray, root: AnyPath, urls: Sequence[str]
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


def joined_roots(parts: Sequence[Roots]) -> Roots:
    """The roots of rows that follow each other."""
    places: list[AnyPath] = []
    codes = []
    for part in parts:
        codes.append(part.codes.astype(np.int64) + len(places))
        places += part.places
    return _distinct(places, np.concatenate(codes))


def _distinct(places: Sequence[AnyPath], codes: np.ndarray) -> Roots:
    """The same with every place once."""
    once = list(dict.fromkeys(places))
    return Roots(tuple(once), np.array([once.index(place) for place in places], np.uint16)[codes])
