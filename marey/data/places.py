"""Where the clips of a manifest lie: paths below a root, moved to another, or not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.faults import Fault, clip_text
from marey.data.files import Folders, leaves

SUSPECT = r"^[/\\]|(^|[/\\])\.\.([/\\]|$)|^\w:"
"""Paths that may leave a root: absolute, of a drive, or with ``..``."""


def texts(paths: pa.ChunkedArray, rows: np.ndarray | None = None) -> Iterator[str]:
    """The paths of `rows` (int64) or all, a few at a time."""
    column = paths if rows is None else paths.take(pa.array(rows))
    for batch in column.chunks:
        for start in range(0, len(batch), 1 << 16):
            yield from batch.slice(start, 1 << 16).to_pylist()


def leaving_root(root: Path, paths: pa.ChunkedArray) -> Fault:
    """The rows whose path does not stay below the root."""
    rows = np.flatnonzero(pc.match_substring_regex(paths, SUSPECT).to_numpy())
    outside = [leaves(root, path) for path in texts(paths, rows)]
    return Fault(
        rows[np.array(outside, dtype=bool)],
        lambda row: (
            f"'path' is {clip_text(paths[row])}, outside the root {root}",
            "give paths relative to the root",
        ),
    )


def stay_inside(paths: pa.ChunkedArray) -> bool:
    """Whether no path can leave any root, by its words."""
    return not pc.any(pc.match_substring_regex(paths, SUSPECT)).as_py()


def missing(root: Path, paths: pa.ChunkedArray, rows: np.ndarray) -> Fault:
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


def rebased(paths: pa.ChunkedArray, root: Path, folder: Path) -> pa.ChunkedArray:
    """Paths below `root` as they read from `folder`."""
    here, root = folder.resolve(), root.resolve()
    if root == here:
        return paths
    prefix = root.relative_to(here) if root.is_relative_to(here) else root
    text = pa.large_string()
    moved = pc.binary_join_element_wise(
        pa.scalar(prefix.as_posix(), text), paths, pa.scalar("/", text)
    )
    return pc.if_else(pc.starts_with(paths, "/"), paths, moved)
