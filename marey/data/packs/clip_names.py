"""What clips are called in a packing: by their paths from the folder that holds all of them.

So other tools, and `marey data prepare`, find frames under the names of the videos, wherever the
manifest lies. A clip that lies in a pack is called as it is called there.

| clip                                | is called                                                  |
|-------------------------------------|------------------------------------------------------------|
| `run/a.mp4`                         | `run/a`                                                    |
| its seconds 1 to 2.5, or frames     | `run/a_1_2.5`, in the manifest's unit; `run/a_4_end`       |
| `run/a.avi` beside it               | `run/a_avi`, and the first `run/a_mp4`                     |
| a span annotated under two ids      | `run/a_1_2.5_uid7`                                         |
| still alike (`A` and `a`, NFC, NFD) | `run/a_5d1c0f3a`, a digest of path, span and id; and its   |
|                                     | row, where one clip is given twice, in two spellings       |
| what other systems refuse           | `what?` is `what_`, `con` is `con_`; cut at 200 bytes      |

A span that is the whole file is none. A name depends on what clips are there, not on their order,
and only those that would share one are told apart: names that differ in letter case alone are
alike, as some file systems have them, and so are a clip and the folder that another lies in.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.manifest.manifest import Manifest, VideoClip
from marey.data.manifest.paths import VIDEO
from marey.storage.url import AnyPath, Url
from marey.video.reading.pack import SUFFIX
from marey.video.reading.reader import Span

MOST_BYTES = 200
"""Of a file's or folder's name; most file systems take 255, and suffixes may follow."""
_IN_PACK = SUFFIX + "/"
_UNSAFE = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]|[. ]$')
_RESERVED = re.compile(r"^(con|prn|aux|nul|(?:com|lpt)\d)(?=\.|$)", re.IGNORECASE | re.ASCII)
"""What Windows refuses in names, and as names."""
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
class FolderNames:
    """The paths of clips from the folder that holds all of them; several may have one."""

    folders: Mapping[str, str]
    """Store (empty for the file system) -> the folder there that holds all clips."""

    def path(self, root: AnyPath, text: str) -> str:
        """That of the clip at `text`, from `root`, with its suffix."""
        _, in_pack, name = text.rpartition(_IN_PACK)
        if in_pack:
            name = posixpath.normpath(f"/{name}").lstrip("/")
        else:
            store, folder, name = _place(root, text)
            below = folder.removeprefix(self.folders[store]).strip("/")
            name = f"{below}/{name}" if below else name
        return name or "clip"  # a pack or the root itself


@dataclass(frozen=True, eq=False)
class ClipNames:
    """The names that this module describes; see `clip_names`."""

    places: FolderNames
    suffixes: bool
    """Whether names keep the suffixes of videos."""
    spaces: bool = True
    """Whether names keep spaces, at which the lists of some toolboxes are split."""
    apart: Mapping[int, str] = field(default_factory=dict)
    """Row -> name, of clips that would share one."""
    renamed: Mapping[int, str] = field(default_factory=dict)
    """Row -> name, of all whose names are not their paths and spans as they are."""

    def name(self, clip: VideoClip, root: AnyPath) -> str:
        """Where the clip goes; see the module."""
        return self.apart.get(clip.row) or self.own(root, clip.text, span_text(clip))

    def own(self, root: AnyPath, text: str, span: str, more: str = "") -> str:
        """What the clip at `text` is called if no other is; `more` comes after its span."""
        plain = self.plain(root, text, span, more)
        return "/".join(map(_safe, plain.split("/")))

    def plain(self, root: AnyPath, text: str, span: str, more: str = "") -> str:
        """The same, of characters and lengths that some systems refuse."""
        stem, suffix = split_suffix(self.places.path(root, text))
        name = stem + span + more + (suffix if self.suffixes else "")
        return name if self.spaces else re.sub(r"\s", "_", name)


def clip_names(manifest: Manifest, *, suffixes: bool, spaces: bool = True) -> ClipNames:
    """The names of all clips, with the suffixes of videos or without."""
    names = ClipNames(folder_names(manifest), suffixes, spaces)
    own, renamed = list[pa.Array](), dict[int, str]()
    rows = np.arange(len(manifest))
    for start in range(0, len(rows), _BLOCK):
        block, texts = rows[start : start + _BLOCK].tolist(), []
        for row, text in zip(block, manifest.texts(rows[start : start + _BLOCK]), strict=True):
            clip = manifest.roots.of(row), text, _span_of(manifest, row)
            texts.append(names.own(*clip))
            if texts[-1] != names.plain(*clip):
                renamed[row] = texts[-1]
        own.append(pa.array(texts, pa.large_string()))
    apart = _told_apart(manifest, names, pa.chunked_array(own, pa.large_string()))
    return replace(names, apart=apart, renamed=renamed | apart)


def span_text(clip: VideoClip) -> str:
    """What a clip's span adds to its name: nothing if that is the whole file.

    >>> span_text(VideoClip(row=0, text="a", path=PurePosixPath("a"), span=Span(1, 2.5)))
    '_1_2.5'
    """
    span = clip.span
    if span is None or _is_whole(span, clip.num_frames, clip.fps):
        return ""
    return _bounds(span)


def _bounds(span: Span) -> str:
    start, end = (f"{bound or 0:.6f}".rstrip("0").rstrip(".") for bound in (span.start, span.end))
    return f"_{start}_{'end' if span.end is None else end}"


def _span_of(manifest: Manifest, row: int) -> str:
    if manifest.starts is None and manifest.ends is None:
        return ""
    return span_text(manifest.clip(row))


def _is_whole(span: Span, num_frames: int | None, fps: float | None) -> bool:
    if span.start or span.end is None:
        return not span.start
    scale = 1.0 if span.unit == "frames" else fps
    return bool(num_frames and scale) and span.end * (scale or 0) >= (num_frames or 0)


# --- clips that would share a name ---------------------------------------------------------------


def _told_apart(manifest: Manifest, names: ClipNames, own: pa.ChunkedArray) -> dict[int, str]:
    """Row -> name of the clips that share a name, each by the first means that does.

    One that alone is left of those that shared its name keeps it.
    """
    inside = not names.suffixes  # a pack may hold a/1.jpg and a/b/1.jpg, a folder of frames not
    rows = np.flatnonzero(clash(own, inside=inside)).tolist()
    apart: dict[int, str] = {}
    for means in (_suffix, _whole_span, _id, _digest, _row) if rows else ():
        more = {row: means(manifest, names, row) for row in rows}
        tried = {row: _own(manifest, names, row, end) for row, end in more.items() if end}
        alike = clash(_with(own, apart | tried), inside=inside)
        apart |= {row: name for row, name in tried.items() if not alike[row]}
        alike = clash(_with(own, apart), inside=inside)
        rows = [row for row in rows if alike[row]]
    return apart


def _own(manifest: Manifest, names: ClipNames, row: int, more: str) -> str:
    root, text = manifest.roots.of(row), str(manifest.paths[row])
    return names.own(root, text, _span_of(manifest, row), more)


def _suffix(manifest: Manifest, names: ClipNames, row: int) -> str:
    suffix = split_suffix(names.places.path(manifest.roots.of(row), str(manifest.paths[row])))[1]
    return "" if names.suffixes else suffix.replace(".", "_")


def _whole_span(manifest: Manifest, names: ClipNames, row: int) -> str:  # noqa: ARG001
    """The bounds of a span that is the whole file, which is given without them as well."""
    span = manifest.span(row)
    return "" if span is None or _span_of(manifest, row) else _bounds(span)


def _id(manifest: Manifest, names: ClipNames, row: int) -> str:  # noqa: ARG001
    clip_id = "" if manifest.ids is None else manifest.ids[row].as_py() or ""
    return f"_{clip_id.replace('/', '_')}" if clip_id else ""


def _digest(manifest: Manifest, names: ClipNames, row: int) -> str:
    root, text = manifest.roots.of(row), str(manifest.paths[row])
    pack, in_pack, _ = text.rpartition(_IN_PACK)
    where = posixpath.basename(pack) if in_pack else _place(root, text)[0]
    path, clip_id = names.places.path(root, text), _id(manifest, names, row)
    return "_" + _short("\0".join([where, path, _span_of(manifest, row), clip_id]))


def _row(manifest: Manifest, names: ClipNames, row: int) -> str:
    return f"{_digest(manifest, names, row)}_{row}"


def clash(names: pa.ChunkedArray, *, inside: bool) -> np.ndarray:
    """Whether a name is there twice, or (`inside`) is a folder of others, bool [n]."""
    keys = pc.utf8_lower(pc.utf8_normalize(names, "NFC")).combine_chunks()
    return _shared(keys) | hold_others(keys) if inside else _shared(keys)


def _with(own: pa.ChunkedArray, others: Mapping[int, str]) -> pa.ChunkedArray:
    """The names with some rows' exchanged."""
    mask = np.zeros(len(own), bool)
    mask[[*others]] = True
    values = pa.array([others[row] for row in sorted(others)], pa.large_string())
    return pa.chunked_array([pc.replace_with_mask(own.combine_chunks(), pa.array(mask), values)])


# --- names on any system -------------------------------------------------------------------------


def split_suffix(path: str) -> tuple[str, str]:
    """A path without the suffix of a video, and that."""
    return posixpath.splitext(path) if VIDEO.fullmatch(path) else (path, "")


def _safe(name: str) -> str:
    """The name of a file or folder as every system takes it.

    >>> _safe("what?"), _safe("aux.1"), _safe("end."), len(_safe("x" * 250))
    ('what_', 'aux_.1', 'end_', 200)
    """
    safe = _RESERVED.sub(r"\1_", _UNSAFE.sub("_", name), count=1)
    if len(safe.encode()) > MOST_BYTES:
        safe = f"{safe.encode()[: MOST_BYTES - 9].decode(errors='ignore')}_{_short(name)}"
    return safe


def _short(text: str) -> str:
    """Eight digits that tell a text from any other."""
    return sha256(text.encode()).hexdigest()[:8]


# --- the folder that holds all -------------------------------------------------------------------


def folder_names(manifest: Manifest) -> FolderNames:
    """From the longest path that begins the folders of all clips of a store that are in no pack."""
    folders: dict[str, set[str]] = {}
    for root, rows in manifest.roots.parts(np.arange(len(manifest))):
        paths = manifest.paths.take(pa.array(rows))
        loose = paths.filter(pc.invert(pc.match_substring(paths, _IN_PACK)))
        # one clip a folder is enough; a last part such as ".." decides which folder it is
        a_folder = pc.unique(pc.replace_substring_regex(loose, r"[^/]*[^/.][^/]*$", "name"))
        for text in a_folder.to_pylist():
            store, folder, _ = _place(root, text)
            folders.setdefault(store, set()).add(folder)
    common = {store: posixpath.commonpath(sorted(some)) for store, some in folders.items()}
    return FolderNames(common)


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


def hold_others(keys: pa.LargeStringArray) -> np.ndarray:
    """Whether a name, or an mp4 of it, is also a folder of others, bool [n]."""
    folders = pc.unique(pc.replace_substring_regex(keys, "/?[^/]*$", "")).to_pylist()
    above = {str(folder) for name in folders for folder in (name, *PurePosixPath(name).parents)}
    wanted = pa.array(sorted(above), pa.large_string())
    mp4 = pc.replace_substring_regex(keys, r"\z", ".mp4")
    inside = pc.or_(pc.is_in(keys, wanted), pc.is_in(mp4, wanted))
    return np.array(inside.to_numpy(zero_copy_only=False), bool)
