r"""The file that a path means which is written otherwise than its name on this disk.

| a path in a list        | of                                                             |
|-------------------------|----------------------------------------------------------------|
| `videos\jump\a.mp4`     | Windows                                                        |
| `/videos/jump/a.mp4`    | a list whose paths begin at the root of the data set           |
| `Videos/Jump/a.MP4`     | a system on which letter cases are the same                    |
| an accent beside its e  | macOS; elsewhere both are one letter                           |
| `jump/a.avi`, `jump/a`  | clips that were encoded anew, or cut into frames: `jump/a.mp4` |

A file that is called as it is written is meant. Else it is the one that is alike, if there is one.
"""

# ruff: noqa: PTH112, PTH118

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from marey.data.manifest.faults import Fault, clip_text
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import VIDEO, Folders
from marey.errors import counted
from marey.storage.url import AnyPath

MISSING = "no such file"
ODDITIES: Mapping[str, str] = {
    "windows": "written with \\, as on Windows",
    "root": "with / at the beginning, read as the root",
    "case": "in other letter case than the file",
    "accents": "with accents encoded otherwise than in the name of the file",
    "suffix": "with another suffix than the file",
    "no suffix": "without a suffix, read as the clip of that name",
}
"""In what a path may differ from that of its file, as it is said of one or several."""
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_REMEDIES = {"windows": "\\ was read as /", "root": "/ at the beginning was read as the root"}


class Meant(NamedTuple):
    """The file that a path means, or why there is none."""

    path: str | None
    odd: tuple[str, ...] = ()
    """Of `ODDITIES`."""
    reason: str = ""
    is_planned: bool = False
    """Whether the path is where a file is to be, and none is yet."""


class Spellings:
    """The files below a root, by any spelling of their paths.

    listed_only: whether folders are listed and no file is asked for by itself.
    """

    def __init__(self, root: AnyPath, *, listed_only: bool = False) -> None:
        self._root, self._listed_only = root, listed_only
        self._folders = Folders(root, listed_only=listed_only)
        self._alike: dict[str, Mapping[str, list[str]]] = {}

    def has(self, path: str) -> bool:
        """Whether a file is there as it is written."""
        return self._folders.has(path)

    def names(self, folder: str) -> frozenset[str]:
        """What lies in a folder."""
        return self._folders.names(folder)

    def planned(self, path: str) -> Meant:
        """The file that `path` means, or will mean where there is none of any spelling yet."""
        meant = self.find(path)
        if meant.path is not None or not meant.reason.startswith(MISSING) or _DRIVE.match(path):
            return meant
        windows = "\\" in path and "/" not in path
        return Meant(_tidy(path.replace("\\", "/") if windows else path), is_planned=True)

    def find(self, path: str) -> Meant:
        """The file that `path` means."""
        if self.has(path):
            return Meant(_tidy(path))
        *folders, name = _words(path).split("/")
        places = [""]
        for part in folders:
            places = [place for at in places for place in self._inside(at, part)]
        found = [place for at in places for place in self._inside(at, name)]
        found = found or [place for at in places for place in self._clips(at, name)]
        if len(found) == 1:
            return Meant(found[0], tuple(_oddities(path, found[0])))
        if found:
            shown = ", ".join(found[:3])
            return Meant(None, reason=f"{len(found)} files may be meant: {shown}")
        if _DRIVE.match(path):
            return Meant(None, reason=f"{MISSING}: a path of Windows, from a drive, not the root")
        said = [text for kind, text in _REMEDIES.items() if kind in _oddities(path, _words(path))]
        return Meant(None, reason=", ".join([MISSING, *said]))

    def _inside(self, folder: str, name: str) -> list[str]:
        """What in a folder has this name, or else names like it."""
        names = self._folders.names(folder)
        alike = [other for other in self._like(folder, name) if _plain(other) == _plain(name)]
        return [_join(folder, other) for other in ([name] if name in names else alike)]

    def _clips(self, folder: str, name: str) -> list[str]:
        """The videos, and folders of images, in a folder that are called so but for a suffix."""
        paths = [_join(folder, other) for other in self._like(folder, name)]
        return [path for path in paths if _stem(path) != path or self._is_folder(path)]

    def _like(self, folder: str, name: str) -> list[str]:
        if folder not in self._alike:
            alike = defaultdict(list)
            for other in sorted(self._folders.names(folder)):
                alike[_plain(_stem(other))].append(other)
            self._alike[folder] = alike
        return self._alike[folder].get(_plain(_stem(name)), [])

    def _is_folder(self, path: str) -> bool:
        if self._listed_only:
            return bool(self._folders.names(path))
        return isinstance(self._root, Path) and os.path.isdir(os.path.join(self._root, path))


def spelling_notes(paths: Sequence[str], meant: Sequence[Meant]) -> list[str]:
    """What there is to say of paths (n) that mean files (n) of other spellings."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for path, file in zip(paths, meant, strict=True):
        counts.update(file.odd)
        for kind in file.odd:
            first.setdefault(kind, f"{path} is {file.path}")
    return [
        f"{counted(counts[kind], 'path')} {text}: {first[kind]}"
        for kind, text in ODDITIES.items()
        if kind in counts
    ]


def missing_fault(manifest: Manifest, root: AnyPath, rows: np.ndarray) -> Fault:
    """Those of `rows`, which lie below `root`, that have no file as they are written."""
    files = Spellings(root)
    exist = np.fromiter(map(files.has, manifest.texts(rows)), bool, len(rows))

    def describe(row: int) -> str:
        path = next(iter(manifest.texts(np.array([row]))))
        near = files.find(path)
        there = f"; there is {clip_text(near.path, 200)}" if near.path else ""
        return f"no file {clip_text(str(manifest.path(row)), 200)}{there}"

    return Fault(
        rows[~exist],
        describe,
        f"paths start at {root}; give another root if the clips lie elsewhere",
    )


def _words(path: str) -> str:
    """The folders and the name of a path, with / between them and nowhere else."""
    return "/".join(part for part in re.split(r"[\\/]", path) if part not in ("", "."))


def _tidy(path: str) -> str:
    """A path without what leads nowhere, so that one file has one path.

    >>> _tidy("./clips//a.mp4"), _tidy("/data/./frames/")
    ('clips/a.mp4', '/data/frames')
    """
    start = "/" if path.startswith("/") else ""
    return start + "/".join(part for part in path.split("/") if part not in ("", ".")) or path


def _oddities(path: str, found: str) -> Iterator[str]:
    """Those of `ODDITIES` that a path has which means the file `found`."""
    if "\\" in path and "\\" not in found:
        yield "windows"
    if path[:1] in ("/", "\\"):
        yield "root"
    words = _words(path)
    one, other = _stem(words), _stem(found)
    suffixes = words[len(one) :], found[len(other) :]
    if suffixes[0].lower() == suffixes[1].lower():
        one, other = words, found
    else:
        yield "suffix" if suffixes[0] else "no suffix"
    if one != other:
        same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
        yield "accents" if same else "case"


def _plain(name: str) -> str:
    """What names are compared by: neither letter case nor the encoding of accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _stem(name: str) -> str:
    """A name without the suffix of a video or of features."""
    stem, dot, suffix = name.rpartition(".")
    is_clip = stem and dot and (VIDEO.fullmatch(name) or suffix.lower() == "npy")
    return stem if is_clip else name


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
