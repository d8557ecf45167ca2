"""Where the clips of a manifest lie: paths below a root, moved to another, or not there."""

# ruff: noqa: PTH100, PTH110, PTH118, PTH208

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.features.feature_folder import names_in
from marey.data.manifest.faults import Fault, clip_text
from marey.data.manifest.location import Roots
from marey.errors import DecodeError
from marey.storage.url import LEADS_OUT, REMOTE, AnyPath, Url, without_secrets
from marey.video.reading.pack import names_in_pack

SUSPECT = rf"^\w:|{LEADS_OUT}"
"""Paths that may leave a root: absolute, of a drive, or with ``..``; or lead out of a url."""


def texts(paths: pa.ChunkedArray, rows: np.ndarray | None = None) -> Iterator[str]:
    """The paths of `rows` (int64) or all, a few at a time."""
    column = paths if rows is None else paths.take(pa.array(rows))
    for batch in column.chunks:
        for start in range(0, len(batch), 1 << 16):
            yield from batch.slice(start, 1 << 16).to_pylist()


def leaving_root(root: AnyPath, paths: pa.ChunkedArray, rows: np.ndarray | None = None) -> Fault:
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


def missing(root: AnyPath, paths: pa.ChunkedArray, rows: np.ndarray) -> Fault:
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


def rebased(paths: pa.ChunkedArray, roots: Roots, folder: Path) -> pa.ChunkedArray:
    """Paths as they read from `folder`; below a single url they stay, and need it as root again."""
    if roots.codes is None:
        root = roots.folders[0]
        return _moved(paths, root, folder) if isinstance(root, Path) else paths
    moved = paths
    for code, root in enumerate(roots.folders):
        below = pa.array(roots.codes == code)
        new = _moved(paths, root, folder) if isinstance(root, Path) else _joined(root, paths)
        moved = pc.if_else(below, new, moved)
    return moved


def _moved(paths: pa.ChunkedArray, root: Path, folder: Path) -> pa.ChunkedArray:
    here, root = folder.resolve(), root.resolve()
    if root == here:
        return paths
    prefix = root.relative_to(here) if root.is_relative_to(here) else root
    return pc.if_else(pc.starts_with(paths, "/"), paths, _joined(prefix, paths))


def _joined(prefix: AnyPath, paths: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pa.large_string()
    start = pa.scalar(prefix.as_posix().rstrip("/"), text)
    return pc.binary_join_element_wise(start, paths, pa.scalar("/", text))


VIDEO = re.compile(
    r".+\.(?:3gp|asf|avi|divx|f4v|flv|gif|h264|hevc|ivf|m1v|m2ts|m2v|m4v|mjpe?g|mkv|mov|mp4|mpe?g|mts"
    r"|mxf|og[mv]|ts|vob|webm|wmv|y4m)",
    re.IGNORECASE | re.DOTALL,
)
"""Names of video files."""


IMAGE = re.compile(r".+\.(?:jpe?g|png|webp|bmp|tiff?)", re.IGNORECASE | re.DOTALL)
"""Names of frames in a folder of frames."""


class Folders:
    """What lies below `root`. A million files in a few folders cost a few listings.

    A question per file would cost a system call each, a millisecond on a network file system.
    """

    def __init__(self, root: AnyPath) -> None:
        self.root, self._place = str(root), root
        self._names: dict[str, frozenset[str]] = {}
        self._stems: dict[str, dict[str, list[str]]] = {}

    def has(self, path: str) -> bool:
        """Whether there is a file or folder at `path`, absolute or from the root."""
        folder, name = os.path.split(path)
        # a name not in the listing may yet exist: other case, or a path that ends in ".."
        if name in self.names(folder):
            return True
        return isinstance(self._place, Path) and os.path.exists(os.path.join(self.root, path))

    def video(self, path: str) -> str | None:
        """`path` if it is there, else the one video that has this name and a suffix more."""
        if self.has(path):
            return path
        folder, name = os.path.split(path)
        found = self._by_stem(folder).get(name, [])
        return os.path.join(folder, found[0]) if len(found) == 1 else None

    def named(self, path: str) -> list[str]:
        """What `path` may mean: itself if it is listed, else the videos with a suffix more.

        From listings alone, so that a clip that is missing costs no question of its own.
        """
        folder, _, name = path.rpartition("/")
        if name in self.names(folder):
            return [path]
        there = self._by_stem(folder).get(name, ())
        return [f"{folder}/{found}" if folder else found for found in there]

    def names(self, folder: str) -> frozenset[str]:
        """The names in `folder`, HDF5 files and packs too; none if it cannot be listed."""
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(self._listed(folder))
            except (OSError, ValueError, DecodeError):  # ValueError: a zero byte in the path
                self._names[folder] = frozenset()
        return self._names[folder]

    def _listed(self, folder: str) -> list[str]:
        if isinstance(self._place, Url):
            url = self._place / folder if folder else self._place
            inside = names_in_pack(url)
            return [found.name for found in url.iterdir()] if inside is None else inside
        place = Path(self.root, folder)
        inside = names_in(place)
        inside = names_in_pack(place) if inside is None else inside
        return os.listdir(place) if inside is None else inside

    def _by_stem(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._stems:
            stems = self._stems[folder] = defaultdict(list)
            known: dict[str, bool] = {}
            for name in self.names(folder):
                stem, _, suffix = name.rpartition(".")
                if suffix not in known:
                    known[suffix] = suffix == "npy" or bool(VIDEO.fullmatch(f"a.{suffix}"))
                if stem and known[suffix]:
                    stems[stem].append(name)
        return self._stems[folder]


def leaves(root: AnyPath, path: str) -> bool:
    """Whether `path`, taken from `root`, ends outside of it, by its words (links are the user's).

    A url is stricter than a folder: its words may be read in more than one way.

    >>> leaves(Path("clips"), "a/../../b.mp4"), leaves(Path("clips"), "a/../b.mp4")
    (True, False)
    """
    if isinstance(root, Url):
        return bool(re.search(LEADS_OUT, path))
    base = os.path.abspath(root)
    target = os.path.abspath(os.path.join(base, path))
    return target != base and not target.startswith(base.rstrip(os.sep) + os.sep)
