"""Where the clips of a manifest lie: as it is asked for, and as the root of every row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.errors import ManifestError, did_you_mean
from marey.storage.url import AnyPath, Url, any_path


@dataclass(frozen=True)
class Location:
    """Where the clips of a manifest lie; by default in its own folder.

    Args:
        root: where relative paths start, a folder or the url of one.
        roots: source -> root of its clips, for sources (the column `source`) with one of their own.
        urls: what paths that are urls themselves may begin with; no others are allowed.

    Raises:
        ValueError: both `roots` and `urls` are given.

    >>> Location("/data/clips", roots={"synthetic": "s3://bucket/made"}).is_given
    True
    """

    root: str | AnyPath | None = None
    roots: Mapping[str, str | AnyPath] = field(default_factory=dict)
    urls: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.roots and self.urls:
            raise ValueError("roots and urls are both given, expected one of them")

    @property
    def is_given(self) -> bool:
        """Whether it names a root, which no path may leave then."""
        return self.root is not None or bool(self.roots)


BESIDE = Location()
"""The folder of the manifest."""


@dataclass(frozen=True, eq=False)
class Roots:
    """The root of every row of a manifest: one folder or store for all, or one of several."""

    folders: tuple[AnyPath, ...]
    codes: np.ndarray | None = None
    """uint16 [n], in 0..len(folders) - 1; None if all rows lie below the one folder."""

    def of(self, row: int) -> AnyPath:
        """Where the path of a row starts."""
        return self.folders[0 if self.codes is None else int(self.codes[row])]

    def take(self, rows: np.ndarray) -> Roots:
        """Those of these rows (int64)."""
        return self if self.codes is None else Roots(self.folders, self.codes[rows])

    def parts(self, rows: np.ndarray) -> Iterator[tuple[AnyPath, np.ndarray]]:
        """Each folder that has some of these rows (int64), with them."""
        if self.codes is None:
            yield self.folders[0], rows
            return
        codes = self.codes[rows]
        for code, folder in enumerate(self.folders):
            below = rows[codes == code]
            if len(below):
                yield folder, below

    def digest(self) -> str:
        """What tells them from any others in one line without secrets: the folder, or a sha256."""
        names = [str(folder.absolute()) for folder in self.folders]
        if self.codes is None:
            return names[0]
        total = sha256("\n".join(names).encode())
        total.update(np.ascontiguousarray(self.codes).data)
        return total.hexdigest()

    def codes_of(self, num_rows: int) -> np.ndarray:
        """The codes, int64 [n], also if there is one folder."""
        return np.zeros(num_rows, np.int64) if self.codes is None else self.codes.astype(np.int64)


def roots_by_source(
    sources: pa.DictionaryArray | None, roots: Roots, named: Mapping[str, str | AnyPath]
) -> Roots:
    """`roots`, but for rows of the sources that have one of their own.

    A list may lack some of the named sources, as one to test on does; ManifestError if all.
    """
    if sources is None:
        raise ManifestError("roots by source need a column 'source'", "give one root for all clips")
    names = sources.dictionary.to_pylist()
    if not any(name in names for name in named):
        name = next(iter(named))
        raise ManifestError(f"no clip has the source {name!r}", did_you_mean(name, names))
    codes = roots.codes_of(len(sources))
    for code, name in enumerate(named, start=len(roots.folders)):
        if name in names:
            codes[sources.indices.to_numpy() == names.index(name)] = code
    return _distinct([*roots.folders, *map(any_path, named.values())], codes)


def roots_among_urls(
    paths: pa.ChunkedArray, root: AnyPath, urls: Sequence[str]
) -> tuple[pa.ChunkedArray, Roots]:
    """Paths without those of `urls` that they began with, and the roots, of which these are some.

    So a row that is a url itself stays below one that the user named, as any row below its root.
    """
    codes = np.zeros(len(paths), np.uint16)
    for code, url in enumerate(urls, start=1):
        prefix = url.rstrip("/") + "/"
        below = pc.starts_with(paths, prefix)
        codes[below.to_numpy()] = code
        paths = pc.if_else(below, pc.utf8_slice_codeunits(paths, len(prefix)), paths)
    return paths, Roots((root, *map(Url, urls)), codes) if codes.any() else Roots((root,))


def joined_roots(parts: Sequence[tuple[Roots, int]]) -> Roots:
    """The roots of lists, each with its number of rows, whose rows follow each other."""
    folders: list[AnyPath] = []
    codes = []
    for roots, num_rows in parts:
        codes.append(roots.codes_of(num_rows) + len(folders))
        folders += roots.folders
    return _distinct(folders, np.concatenate(codes))


def _distinct(folders: Sequence[AnyPath], codes: np.ndarray) -> Roots:
    """The roots with every folder once."""
    once = list(dict.fromkeys(folders))
    return Roots(tuple(once), np.array([once.index(f) for f in folders], np.uint16)[codes])
