"""Where the clips of an index lie below a root: the first layout that is there, from listings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.data.files import Folders, leaves
from marey.data.index.dataset import Clip, Index

_SUSPECT = re.compile(r"^[/\\~]|(^|[/\\])\.\.([/\\]|$)|^\w:")


@dataclass(frozen=True)
class Media:
    """Path of every clip from the root, None where there is none; and why there is none."""

    paths: list[str | None]
    reasons: dict[int, str]


def find_media(index: Index, root: Path, layouts: Sequence[str]) -> Media:
    """The media of all clips. A folder is listed once, whatever lies in it."""
    folders = Folders(root)
    usable = [layout for layout in layouts if _begins(folders, layout)]
    head = next(iter(index.classes), "")
    names = index.classes.get(head, ())
    paths: list[str | None] = []
    reasons: dict[int, str] = {}
    for row, clip in enumerate(index.clips):
        values = _values(clip, head, names)
        found: str | None = None
        for layout in usable:
            try:
                place = layout.format_map(values)
            except KeyError:  # a layout of another form of the annotations
                continue
            matches = folders.named(place)
            if len(matches) == 1:
                found = matches[0]
                break
            if matches:
                reasons[row] = f"{len(matches)} files of this name: {', '.join(matches[:3])}"
                break
        else:
            reasons[row] = "no such video or folder"
        paths.append(found)
    return Media(paths, reasons)


def stays_inside(root: Path, name: str) -> bool:
    """Whether a name from a list leads to somewhere below the root, whatever the layout."""
    return not _SUSPECT.search(name) or not leaves(root, name)


def _values(clip: Clip, head: str, names: Sequence[str]) -> dict[str, str]:
    label = clip.labels.get(head)
    values = {"name": clip.name, "split": clip.split, **clip.fields}
    if isinstance(label, int):
        values["class"] = names[label]
        values["class_"] = names[label].replace(" ", "_")
    return values


def _begins(folders: Folders, layout: str) -> bool:
    """Whether the folder with which a layout begins is there."""
    fixed = layout.partition("{")[0].rpartition("/")[0]
    return not fixed or bool(folders.names(fixed))
