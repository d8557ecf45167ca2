"""Where the clips of a manifest lie: paths below a root, moved to another, or not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.files import Folders, leaves
from marey.data.manifest.faults import Fault, clip_text
from marey.data.manifest.roots import Roots
from marey.storage.url import LEADS_OUT, REMOTE, Place, Url, without_secrets

SUSPECT = rf"^\w:|{LEADS_OUT}"
"""Paths that may leave a root: absolute, of a drive, or with ``..``; or lead out of a url."""


def texts(paths: pa.ChunkedArray, rows: np.ndarray | None = None) -> Iterator[str]:
    """The paths of `rows` (int64) or all, a few at a time."""
    column = paths if rows is None else paths.take(pa.array(rows))
    for batch in column.chunks:
        for start in range(0, len(batch), 1 << 16):
            yield from batch.slice(start, 1 << 16).to_pylist()


def leaving_root(root: Place, paths: pa.ChunkedArray, rows: np.ndarray | None = None) -> Fault:
    """Those of `rows` (int64; default all) whose path does not stay below the root."""
    rows = np.arange(len(paths)) if rows is None else rows
    asked = paths if len(rows) == len(paths) else paths.take(pa.array(rows))
    rows = rows[pc.match_substring_regex(asked, SUSPECT).to_numpy()]
    outside = [leaves(root, path) for path in texts(paths, rows)]
    return Fault(
        rows[np.array(outside, dtype=bool)],
        lambda row: (
            f"'path' is {clip_text(paths[row])}, outside the root {root}",
            "give paths relative to the root",
        ),
    )


def urls_among(paths: pa.ChunkedArray) -> Fault:
    """The rows that are urls."""
    return Fault(
        np.flatnonzero(pc.match_substring_regex(paths, REMOTE).to_numpy()),
        lambda row: (
            f"'path' is {clip_text(without_secrets(paths[row].as_py()))}, a url not allowed",
            "give its store as root and the path below it, or name it in `urls`",
        ),
    )


def stay_inside(paths: pa.ChunkedArray) -> bool:
    """Whether no path can leave any root, by its words."""
    return not pc.any(pc.match_substring_regex(paths, SUSPECT)).as_py()


def missing(root: Place, paths: pa.ChunkedArray, rows: np.ndarray) -> Fault:
    """Those of `rows` that have no file."""
    folders = Folders(root)
    there = np.fromiter((folders.has(path) for path in texts(paths, rows)), bool, len(rows))
    return Fault(
        rows[~there],
        lambda row: (
            f"no file {clip_text(str(root / str(paths[row])), 200)}",
            f"paths start at {root}; give another root if the clips lie elsewhere",
        ),
    )


def rebased(paths: pa.ChunkedArray, root: Place | Roots, folder: Path) -> pa.ChunkedArray:
    """Paths as they read from `folder`; below a single url they stay, and need it as root again."""
    if isinstance(root, Url):
        return paths
    if isinstance(root, Path):
        return _moved(paths, root, folder)
    moved = paths
    for code, place in enumerate(root.places):
        there = pa.array(root.codes == code)
        new = _moved(paths, place, folder) if isinstance(place, Path) else _joined(place, paths)
        moved = pc.if_else(there, new, moved)
    return moved


def _moved(paths: pa.ChunkedArray, root: Path, folder: Path) -> pa.ChunkedArray:
    here, root = folder.resolve(), root.resolve()
    if root == here:
        return paths
    prefix = root.relative_to(here) if root.is_relative_to(here) else root
    return pc.if_else(pc.starts_with(paths, "/"), paths, _joined(prefix, paths))


def _joined(prefix: Place, paths: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pa.large_string()
    start = pa.scalar(prefix.as_posix().rstrip("/"), text)
    return pc.binary_join_element_wise(start, paths, pa.scalar("/", text))
