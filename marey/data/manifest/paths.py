"""Where the clips of a manifest lie: paths below a root, moved to another, or not there."""

# ruff: noqa: PTH100, PTH110, PTH118, PTH208

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.features.feature_folder import names_in
from marey.data.manifest.faults import Fault, clip_text
from marey.data.manifest.manifest import Manifest
from marey.errors import DecodeError, ManifestError
from marey.storage.url import LEADS_OUT, REMOTE, AnyPath, Url, without_secrets
from marey.video.reading.pack import names_in_pack

SUSPECT = rf"^\w:|{LEADS_OUT}"
"""Paths that may leave a root: absolute, of a drive, or with ``..``; or lead out of a url."""


def stray_faults(manifest: Manifest, given: Collection[AnyPath]) -> list[Fault]:
    """Rows whose path does not stay below its root, of roots that are `given` and of all urls."""
    parts = manifest.roots.parts(np.arange(len(manifest)))
    return [
        _stray_fault(manifest, root, rows)
        for root, rows in parts
        if root in given or isinstance(root, Url)
    ]


def _stray_fault(manifest: Manifest, root: AnyPath, rows: np.ndarray) -> Fault:
    paths = manifest.paths
    below = paths if len(rows) == len(paths) else paths.take(pa.array(rows))
    rows = rows[pc.match_substring_regex(below, SUSPECT).to_numpy()]
    outside = [leaves(root, path) for path in manifest.texts(rows)]
    return Fault(
        rows[np.array(outside, dtype=bool)],
        lambda row: f"'path' is {clip_text(paths[row])}, outside the root {root}",
        "give paths relative to the root",
    )


def url_fault(paths: pa.ChunkedArray) -> Fault:
    """The rows that are urls."""
    return Fault(
        np.flatnonzero(pc.match_substring_regex(paths, REMOTE).to_numpy()),
        lambda row: f"'path' is {clip_text(without_secrets(str(paths[row])))}, a url not allowed",
        "give its store as root and the path below it, or name it in `urls`",
    )


def stay_inside(paths: pa.ChunkedArray) -> bool:
    """Whether no path can leave any root, by its words."""
    return not pc.any(pc.match_substring_regex(paths, SUSPECT)).as_py()


def rebased(manifest: Manifest, folder: Path) -> pa.ChunkedArray:
    """Paths as they read from `folder`; below a single url they stay, and need it as root again."""
    paths, roots = manifest.paths, manifest.roots
    if roots.codes is None:
        return _moved(paths, manifest.root, folder) if isinstance(manifest.root, Path) else paths
    moved = paths
    for code, root in enumerate(roots.folders):
        below = pa.array(roots.codes == code)
        new = _moved(paths, root, folder) if isinstance(root, Path) else _joined(root, paths)
        moved = pc.if_else(below, new, moved)
    return moved


def _moved(paths: pa.ChunkedArray, root: Path, folder: Path) -> pa.ChunkedArray:
    folder, root = folder.resolve(), root.resolve()
    if root == folder:
        return paths
    prefix = root.relative_to(folder) if root.is_relative_to(folder) else root
    return pc.if_else(pc.starts_with(paths, "/"), paths, _joined(prefix, paths))


def _joined(prefix: AnyPath, paths: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pa.large_string()
    try:
        start = pa.scalar(prefix.as_posix().rstrip("/"), text)
    except UnicodeEncodeError as error:
        raise ManifestError(
            f"{prefix}: a name that is not UTF-8, which no manifest can hold",
            "rename it, or write the manifest beside the clips",
        ) from error
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

    Args:
        listed_only: whether no file is asked for by itself, so that one whose name is not in the
            listing of its folder is not there.
    """

    def __init__(self, root: AnyPath, *, listed_only: bool = False) -> None:
        self._root, self._listed_only = root, listed_only
        self._names: dict[str, frozenset[str]] = {}
        self._stems: dict[str, Mapping[str, list[str]]] = {}

    def has(self, path: str) -> bool:
        """Whether there is a file or folder at `path`, absolute or from the root."""
        folder, name = os.path.split(path)
        # a name not in the listing may yet exist: other case, or a path that ends in ".."
        if name in self.names(folder) or self._listed_only:
            return name in self.names(folder)
        return isinstance(self._root, Path) and os.path.exists(os.path.join(self._root, path))

    def video(self, path: str) -> str | None:
        """`path` if it is there, else the one video that has this name and a suffix more."""
        if self.has(path):
            return path
        videos = self.named(path)
        return videos[0] if len(videos) == 1 else None

    def named(self, path: str) -> list[str]:
        """What `path` may mean: itself if it is listed, else the videos with a suffix more.

        From listings alone, so that a clip that is missing costs no question of its own.
        """
        folder, _, name = path.rpartition("/")
        if name in self.names(folder):
            return [path]
        videos = self._by_stem(folder).get(name, ())
        return [f"{folder}/{video}" if folder else video for video in videos]

    def names(self, folder: str) -> frozenset[str]:
        """The names in `folder`, HDF5 files and packs too; none if it cannot be listed."""
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(self._listed(folder))
            except (OSError, ValueError, DecodeError):  # ValueError: a zero byte in the path
                self._names[folder] = frozenset()
        return self._names[folder]

    def _listed(self, folder: str) -> list[str]:
        path = self._root / folder if folder else self._root
        inside = names_in_pack(path)
        if inside is not None:
            return inside
        if isinstance(path, Url):
            return [file.name for file in path.iterdir()]
        inside = names_in(path)
        return os.listdir(path) if inside is None else inside

    def _by_stem(self, folder: str) -> Mapping[str, list[str]]:
        if folder not in self._stems:
            stems = defaultdict(list)
            for name in self.names(folder):
                stem, _, suffix = name.rpartition(".")
                if stem and _is_of_clip(suffix):
                    stems[stem].append(name)
            self._stems[folder] = stems
        return self._stems[folder]


@lru_cache  # asked of every file of a folder, which have few suffixes
def _is_of_clip(suffix: str) -> bool:
    return suffix == "npy" or bool(VIDEO.fullmatch(f"a.{suffix}"))


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
