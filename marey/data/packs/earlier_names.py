"""The names of packings that earlier versions began, which end with the names they have.

`RowNames` are paths from the folder that holds all clips, as `clip_names` has them, but that a row
in the manifest, counted from 0, tells clips apart: spans of one file, `a.avi` beside `a.mp4`.
`RootNames`, before those, are paths from the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marey.data.manifest.duplicates import duplicates
from marey.data.manifest.manifest import Manifest, VideoClip
from marey.data.manifest.paths import VIDEO
from marey.data.packs.clip_names import FolderNames, clash, folder_names, hold_others, split_suffix
from marey.storage.url import AnyPath


@dataclass(frozen=True, eq=False)
class RowNames:
    """Paths from the folder that holds all clips; see `row_names`."""

    places: FolderNames
    suffixes: bool
    mark: str
    """What comes before the row."""
    marked: np.ndarray
    """Whether the row ends the name, bool [n]."""

    def name(self, clip: VideoClip, root: AnyPath) -> str:
        """Where the clip goes."""
        name = self.plain(root, clip.text)
        return f"{name}{self.mark}{clip.row:08d}" if self.marked[clip.row] else name

    def plain(self, root: AnyPath, text: str) -> str:
        """What the clip at `text`, from `root`, is called if no other is."""
        path = self.places.path(root, text)
        return path if self.suffixes else split_suffix(path)[0]


def row_names(manifest: Manifest, *, suffixes: bool) -> RowNames:
    """The names of all clips, as they begin at the folder that holds all."""
    names = RowNames(folder_names(manifest), suffixes, "@", np.zeros(0, bool))
    texts = enumerate(manifest.texts())
    plain = pa.array(
        [names.plain(manifest.roots.of(row), t) for row, t in texts], pa.large_string()
    )
    own = pa.chunked_array([plain])
    marked, mark = clash(own, inside=not suffixes), "@"
    while marked.any() and pc.any(pc.match_substring_regex(own, rf"{mark}\d{{8}}")).as_py():
        mark += "@"  # a name that ends so was one's own before
    return RowNames(names.places, suffixes, mark, marked)


@dataclass(frozen=True)
class RootNames:
    """Paths from the root.

    The row ends the name of every clip that has a span or does not
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


def root_names(manifest: Manifest, *, suffixes: bool) -> RootNames:
    """The names of all clips, as they begin at the root."""
    stems = pc.replace_substring_regex(manifest.paths, r"\.\w+$", "")
    paths = manifest.paths if suffixes else stems
    plain = manifest.roots.codes is None
    plain = plain and not duplicates(paths, [manifest.starts, manifest.ends])
    if plain and not suffixes:
        plain = not hold_others(manifest.paths.combine_chunks()).any()
    return RootNames(plain, suffixes)
