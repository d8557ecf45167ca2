"""What clips are called in a packing: by their paths from the folder that holds all of them.

So other tools, and `marey data prepare`, find frames under the names of the videos, wherever the
manifest lies. A clip that lies in a pack is called as it is called there. Only where clips would
share a name (spans of one file, `a.avi` beside `a.mp4`, names that differ in letter case alone,
which some file systems do not tell apart), or one would lie inside of another, `@` and its row in
the manifest, counted from 0, end the name: `a@00000003`.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.manifest.duplicates import duplicates
from marey.data.manifest.manifest import Manifest, VideoClip
from marey.data.manifest.paths import VIDEO
from marey.storage.url import AnyPath, Url
from marey.video.reading.pack import SUFFIX

_IN_PACK = SUFFIX + "/"
_BLOCK = 1 << 16
"""Names that are Python's own text at a time, of a manifest that may have millions."""


class Names(Protocol):
    """What every clip is called."""

    def name(self, clip: VideoClip, root: AnyPath) -> str:
        """Where it goes, below some folder and never outside of it; its alone.

        root: where the path of the clip starts.
        """
        ...


@dataclass(frozen=True, eq=False)
class NamesInCommonFolder:
    """The names that this module describes; see `clip_names`."""

    folders: Mapping[str, str]
    """Store (empty for the file system) -> the folder there that holds all clips."""
    suffixes: bool
    """Whether names keep the suffixes of videos."""
    mark: str = "@"
    """What comes before the row."""
    marked: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    """Whether the row ends the name, bool [n]."""

    def name(self, clip: VideoClip, root: AnyPath) -> str:
        """Where the clip goes; see the module."""
        name = self.plain(root, clip.text)
        return f"{name}{self.mark}{clip.row:08d}" if self.marked[clip.row] else name

    def plain(self, root: AnyPath, text: str) -> str:
        """What the clip at `text`, from `root`, is called if no other is."""
        _, in_pack, name = text.rpartition(_IN_PACK)
        if in_pack:
            name = posixpath.normpath(f"/{name}").lstrip("/")
        else:
            store, folder, name = _place(root, text)
            below = folder.removeprefix(self.folders[store]).strip("/")
            name = f"{below}/{name}" if below else name
        name = name or "clip"  # a pack or the root itself
        is_plain = self.suffixes or not VIDEO.fullmatch(name)
        return name if is_plain else posixpath.splitext(name)[0]


def clip_names(manifest: Manifest, *, suffixes: bool) -> NamesInCommonFolder:
    """The names of all clips, with the suffixes of videos or without."""
    names = NamesInCommonFolder(_common_folders(manifest), suffixes)
    plain = pa.chunked_array(list(_blocks(manifest, names)), pa.large_string())
    keys = pc.utf8_lower(pc.utf8_normalize(plain, "NFC")).combine_chunks()
    marked = _shared(keys)
    if not suffixes:  # a pack may hold a/1.jpg and a/b/1.jpg, a folder of frames no other clip
        marked |= _hold_others(keys)
    mark = "@"
    while marked.any() and pc.any(pc.match_substring_regex(keys, rf"{mark}\d{{8}}")).as_py():
        mark += "@"  # a name that ends so was one's own before
    return NamesInCommonFolder(names.folders, suffixes, mark, marked)


def _blocks(manifest: Manifest, names: NamesInCommonFolder) -> Iterator[pa.Array]:
    rows = np.arange(len(manifest))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        texts = zip(block.tolist(), manifest.texts(block), strict=True)
        plain = [names.plain(manifest.roots.of(row), text) for row, text in texts]
        yield pa.array(plain, pa.large_string())


def _common_folders(manifest: Manifest) -> dict[str, str]:
    """Store -> the longest path that begins the folders of all clips there that are in no pack."""
    folders: dict[str, set[str]] = {}
    for root, rows in manifest.roots.parts(np.arange(len(manifest))):
        paths = manifest.paths.take(pa.array(rows))
        loose = paths.filter(pc.invert(pc.match_substring(paths, _IN_PACK)))
        # one clip a folder is enough; a last part such as ".." decides which folder it is
        a_folder = pc.unique(pc.replace_substring_regex(loose, r"[^/]*[^/.][^/]*$", "name"))
        for text in a_folder.to_pylist():
            store, folder, _ = _place(root, text)
            folders.setdefault(store, set()).add(folder)
    return {store: posixpath.commonpath(sorted(some)) for store, some in folders.items()}


def _place(root: AnyPath, text: str) -> tuple[str, str, str]:
    """Store, folder and name of a clip, without `.`, `..` and doubled slashes."""
    above, _, name = text.rpartition("/")
    if name in ("", ".", ".."):
        store, folder = _folder(root, text)
        above, _, name = folder.rpartition("/")
        return store, above or "/", name
    return *_folder(root, "/" if text.startswith("/") and not above else above), name


@lru_cache(1 << 16)
def _folder(root: AnyPath, text: str) -> tuple[str, str]:
    """Store and path of a folder; asked for every clip, of which many lie in one."""
    if isinstance(root, Url):
        store, path = re.fullmatch(r"([^/]*//[^/]*)(.*)", root.as_posix()).groups()  # type: ignore[union-attr]
        return store, posixpath.normpath(f"/{path}/{text}").replace("//", "/")
    return "", os.path.abspath(os.path.join(root, text)).replace("//", "/")  # noqa: PTH100, PTH118


def _shared(keys: pa.LargeStringArray) -> np.ndarray:
    """Whether a name is there twice, bool [n]."""
    codes = keys.dictionary_encode().indices.to_numpy()
    shared: np.ndarray = np.bincount(codes)[codes] > 1
    return shared


def _hold_others(keys: pa.LargeStringArray) -> np.ndarray:
    """Whether a name, or an mp4 of it, is also a folder of others, bool [n]."""
    folders = pc.unique(pc.replace_substring_regex(keys, "/?[^/]*$", "")).to_pylist()
    above = {str(folder) for name in folders for folder in (name, *PurePosixPath(name).parents)}
    wanted = pa.array(sorted(above), pa.large_string())
    mp4 = pc.replace_substring_regex(keys, r"\z", ".mp4")
    inside = pc.or_(pc.is_in(keys, wanted), pc.is_in(mp4, wanted))
    return np.array(inside.to_numpy(zero_copy_only=False), bool)


@dataclass(frozen=True)
class EarlierNames:
    """The names of earlier versions: a packing that was begun with them ends with them.

    They are paths from the root. The row ends the name of every clip that has a span or does not
    lie plainly below the root, and of all clips if two of them would share a name.
    """

    plain: bool
    suffixes: bool

    def name(self, clip: VideoClip, root: AnyPath) -> str:  # noqa: ARG002
        """Where the clip goes."""
        path = PurePosixPath(clip.text)
        if not self.suffixes and VIDEO.fullmatch(path.name):
            path = path.with_suffix("")
        words = [word for word in path.parts if word not in ("/", ".", "..")]
        below = clip.text == str(PurePosixPath(clip.text)) and len(words) == len(path.parts)
        if self.plain and below and clip.span is None:
            return str(path)
        return "/".join(words if below else words[-2:]) + f"@{clip.row:08d}"


def earlier_names(manifest: Manifest, *, suffixes: bool) -> EarlierNames:
    """The names of all clips as earlier versions gave them."""
    stems = pc.replace_substring_regex(manifest.paths, r"\.\w+$", "")
    paths = manifest.paths if suffixes else stems
    plain = manifest.roots.codes is None
    plain = plain and not duplicates(paths, [manifest.starts, manifest.ends])
    if plain and not suffixes:
        plain = not _hold_others(manifest.paths.combine_chunks()).any()
    return EarlierNames(plain, suffixes)
