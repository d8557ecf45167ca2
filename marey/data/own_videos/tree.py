"""All that lies below a folder: its clips, and what is none."""

# ruff: noqa: PTH112, PTH114, PTH118, PTH122, PTH208

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marey.data.manifest.paths import IMAGE, VIDEO
from marey.errors import ManifestError

LIST = re.compile(
    r"(?!readme|licen[cs]e|requirements)[^.].*\.(?:csv|tsv|txt|lst|list|jsonl?|xlsx?)",
    re.IGNORECASE | re.DOTALL,
)
"""Names that a list of clips, or of classes, may have."""
_SYSTEM = re.compile(
    r"@eadir|@recycle|@recently-snapshot|#recycle|#snapshot|\$recycle\.bin|recycler|recycled"
    r"|system volume information|lost\+found|__macosx|__pycache__|network trash folder"
    r"|temporary items|found\.\d+",
    re.IGNORECASE,
)
"""Folders that file systems, network drives and archives make, besides hidden ones."""


@dataclass(frozen=True)
class Tree:
    """What lies below a folder; every path is from it, with `/`."""

    clips: list[str]
    """Videos and folders of images, in order."""
    frames: frozenset[str]
    """Those that are folders of images."""
    empty: list[str]
    """Folders without a clip, of which the folder above has some."""
    inside: list[str]
    """Folders of images in a folder of images, such as optical flow: no clips of their own."""
    lists: list[str]
    """Files that may list clips, or classes, and lie beside no clip unless at the top."""
    other: Counter[str]
    """Suffix -> how many other files there are."""
    system: Counter[str]
    """Name -> how many folders of the system there are; nothing in them is counted."""


@dataclass
class _Folder:
    videos: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def read_tree(root: Path) -> Tree:
    """What lies below `root`, at any depth; ManifestError if a folder cannot be listed."""
    try:
        return _tree(*_listed(str(root)))
    except OSError as error:
        raise ManifestError(
            f"cannot read {error.filename}: {error.strerror}",
            "bring it back, give this user the right to list it, or move it out of the folder",
        ) from error


def _listed(root: str) -> tuple[dict[str, _Folder], Counter[str]]:
    """Every folder by its path, those above before those in them; "" is the root."""
    found: dict[str, _Folder] = {}
    system: Counter[str] = Counter()
    waiting = [""]
    while waiting:
        path = waiting.pop()
        folder = found[path] = _Folder()
        for name in sorted(os.listdir(os.path.join(root, path))):
            inner = f"{path}/{name}" if path else name
            if not os.path.isdir(os.path.join(root, inner)):
                _add_file(folder, inner, name)
            elif _SYSTEM.fullmatch(name):
                system[name] += 1
            elif not name.startswith(".") and not _is_loop(root, inner):
                folder.folders.append(inner)
        waiting += folder.folders
    return found, system


def _add_file(folder: _Folder, path: str, name: str) -> None:
    if name.startswith("."):
        return
    if VIDEO.fullmatch(name):
        folder.videos.append(path)
    elif IMAGE.fullmatch(name):
        folder.images.append(path)
    else:
        folder.others.append(path)


def _is_loop(root: str, path: str) -> bool:
    """Whether it is a link to a folder that it lies in, be it by the way of other links."""
    if not os.path.islink(os.path.join(root, path)):
        return False
    target = os.path.realpath(os.path.join(root, path))
    above = [""] + [path[:end] for end, letter in enumerate(path) if letter == "/"]
    ways = (os.path.realpath(os.path.join(root, folder)) for folder in above)
    return any(f"{way}/".startswith(f"{target}/") for way in ways)


def _tree(found: dict[str, _Folder], system: Counter[str]) -> Tree:
    clips_in: dict[str, list[str]] = {}
    frames: set[str] = set()
    inside: list[str] = []
    stray: list[str] = []  # files that are part of no clip
    for path in reversed(found):  # those in a folder come before it
        folder = found[path]
        below = [clip for inner in folder.folders for clip in clips_in[inner]]
        # A cover, or a picture of every clip beside the clips' folders, is no frame.
        if not folder.videos and len(folder.images) > len(below):
            clips_in[path] = [path or "."]
            frames.add(path or ".")
            inside += below
        else:
            clips_in[path] = folder.videos + below
            stray += folder.images
        stray += folder.others
    clips = in_order(clips_in[""])
    empty = [
        inner
        for path, folder in found.items()
        for inner in folder.folders
        if not clips_in[inner] and (clips_in[path] or not path)
    ]
    beside = {*clips, *(path.rpartition("/")[0] for path in clips)} - {""}
    lists = [path for path in stray if LIST.fullmatch(path.rpartition("/")[2])]
    return Tree(
        clips=clips,
        frames=frozenset(frames.intersection(clips)),
        empty=in_order(empty),
        inside=in_order(inside),
        lists=in_order([path for path in lists if path.rpartition("/")[0] not in beside]),
        other=Counter(_suffix(path) for path in stray),
        system=system,
    )


def in_order(paths: Sequence[str]) -> list[str]:
    """Paths folder by folder, as a walk through sorted folders meets them."""
    return sorted(paths, key=lambda path: path.split("/"))


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower() or "without suffix"
