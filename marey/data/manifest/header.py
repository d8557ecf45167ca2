"""The header of a manifest, whose columns may go by other names than their own.

What has its own name is read by it alone: other names count where that is not there. What only a
look at the cells can tell is left to `marey data init`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.data.manifest.column_names import Kind, of_kind
from marey.data.manifest.columns import BOUNDS, KNOWN
from marey.data.manifest.faults import clip_text
from marey.data.manifest.time_names import Times, looks_like_time, time_name, times_among
from marey.errors import ManifestError

SEPARATORS = (",", ";", "\t")
_NOT_LABELS: tuple[Kind, ...] = ("path", "split", "group", "id")


class NoLabels(ManifestError):
    """A list of clips of which no column is that of labels."""


@dataclass(frozen=True)
class Header:
    """The columns of a manifest file."""

    written: tuple[str, ...]
    """Their names as they stand in the file."""
    names: tuple[str, ...]
    """What each is read as; its own name if that is nothing known."""

    def as_written(self, name: str) -> str:
        """What the column that is read as `name` is called in the file."""
        return self.written[self.names.index(name)]

    @property
    def note(self) -> str:
        """What is read by another name, in words; empty if nothing is."""
        pairs = zip(self.written, self.names, strict=True)
        return ", ".join(f"`{mine}` is read as {name}" for mine, name in pairs if mine != name)


def read_header(path: Path, written: Sequence[str], heads: Sequence[str]) -> Header:
    """What the columns of the manifest at `path` are read as.

    ManifestError where one seems to be a label or a time, and is not clear.

    Args:
        heads: the columns of labels that are read.
    """
    own = {*KNOWN, *heads}
    free = [name for name in written if name and name not in own]
    meant: dict[str, str] = {}
    for kind in ("path", "split", *(("label",) if "label" in heads else ())):
        if kind not in written:
            found = [name for name in of_kind(kind, free) if name not in meant]
            if kind == "label" and len(found) > 1:
                raise ManifestError(
                    f"{path}:1: {_shown(found[:2])} both look like labels",
                    f"call the one that counts label, or {init_hint(path, written, found[0])}",
                )
            meant |= dict.fromkeys(found[:1], kind)
    if not any(name in written for bounds in BOUNDS.values() for name in bounds):
        meant |= _times(path, written, [name for name in free if name not in meant])
    return Header(tuple(written), tuple(meant.get(name, name) for name in written))


def _times(path: Path, written: Sequence[str], free: Sequence[str]) -> dict[str, str]:
    """The columns of starts and ends, each with the name that it has in a manifest."""
    pairs = times_among(free)
    paired = [name for times in pairs for name in times.columns]
    stray = [name for name in free if looks_like_time(name) and name not in paired]
    if not pairs and not stray:
        return {}
    times = pairs[0] if pairs and not stray else Times("")
    rivals = [other for other in pairs[1:] if other.unit == times.unit]
    unclear = rivals or times.duration or "youtube_id" in written
    if unclear or not times.end or times.unit not in BOUNDS:
        raise ManifestError(
            f"{path}:1: {_shown(stray or paired)} may say which part of a file a clip is",
            "a manifest has `start` and `end` in seconds, or `start_frame` and `end_frame`;"
            " take the columns out if they do not matter, or `marey data init` writes a manifest"
            " and asks what they are",
        )
    return dict(zip((times.start, times.end), BOUNDS[times.unit], strict=True))


def init_hint(path: Path, names: Sequence[str], label: str = "") -> str:
    """How `marey data init` reads a table whose columns have other names."""
    if names[:1] and names[0].startswith("#") and not of_kind("path", names):  # a comment
        return (
            f"`marey data init {path.name} DIR`, which leaves lines of comment, writes a manifest"
        )
    columns = likely_columns(names, label=label)
    return f"`marey data init {path.name} DIR --columns {columns}` writes a manifest"


def likely_columns(names: Sequence[str], path: str = "", label: str = "") -> str:
    """What `--columns` may say of a table, as far as the names tell: `path=video,label=gloss`."""
    named = [name for name in names if name]
    path = path or next(iter([*of_kind("path", named), *named]), "COLUMN")
    several = {head: name for head in ("verb", "noun") for name in named if name.lower() == head}
    if len(several) == 2:
        return shlex.quote(f"path={path},verb={several['verb']},noun={several['noun']}")
    label = label or likely_label([name for name in named if name != path]) or "COLUMN"
    return shlex.quote(f"path={path},label={label}")


def likely_label(names: Sequence[str]) -> str:
    """The column that may be that of labels, as its name says nothing else; "" if none may."""
    known = of_kind("label", names)
    others = [
        name
        for name in reversed(names)
        if not time_name(name)
        and not looks_like_time(name)
        and not any(of_kind(kind, [name]) for kind in _NOT_LABELS)
    ]
    return next(iter([*known, *others]), "")


def _shown(names: Sequence[str]) -> str:
    return " and ".join(map(clip_text, names))
