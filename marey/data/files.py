"""Which files are there: folders are listed once each, and paths kept below their root.

Paths are strings here: an object per row of a manifest would cost more than the row's work.
"""

# ruff: noqa: PTH100, PTH110, PTH118, PTH208

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

from marey.data.features.feature_folder import names_in
from marey.errors import DecodeError
from marey.storage.url import LEADS_OUT, Place, Url
from marey.video.reading.pack import names_in_pack

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

    def __init__(self, root: Place) -> None:
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


def leaves(root: Place, path: str) -> bool:
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
