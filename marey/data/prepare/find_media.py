"""Where clips lie below a root: the first layout that is there, from listings of folders.

Names come from files that others wrote: one whose text leads out of the root has no media.
"""

# ruff: noqa: PTH100, PTH118

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marey.data.datasets.dataset import AnnotatedClip
from marey.data.manifest.paths import VIDEO, Folders, leaves
from marey.errors import ManifestError

_SUSPECT = re.compile(r"^[/\\]|(^|[/\\])\.\.([/\\]|$)|^\w:")


@dataclass(frozen=True)
class Media:
    """Path of every clip from the root, None where there is none; and row -> why there is none."""

    paths: list[str | None]
    reasons: dict[int, str]
    layouts: Counter[str] = field(default_factory=Counter)
    """Layout -> how many clips lie so."""


def find_media(
    clips: Sequence[AnnotatedClip], class_names: Sequence[str], root: Path, layouts: Sequence[str]
) -> Media:
    """The media of all clips; class_names are those of the first head. A folder is listed once."""
    if not root.is_dir():
        raise ManifestError(f"{root} is not a folder", "give --root DIR, where the clips lie")
    folders = Folders(root)
    usable = [layout for layout in layouts if _begins(folders, layout)]
    known = class_names if any("{class" in layout for layout in usable) else ()
    media = Media([], {})
    for row, clip in enumerate(clips):
        layout, matches = _matches(folders, root, usable, _values(clip, known))
        media.paths.append(matches[0] if len(matches) == 1 else None)
        media.layouts[layout] += len(matches) == 1
        if not matches:
            media.reasons[row] = "no such video or folder"
        elif len(matches) > 1:
            media.reasons[row] = f"{len(matches)} videos of one name: {', '.join(matches[:3])}"
    return media


def inside_root(root: Path, name: str) -> str | None:
    """A name from a list as it reads from the root; None if it leads out of it."""
    if not _SUSPECT.search(name):
        return name
    if "\0" in name or leaves(root, name):
        return None
    base = os.path.abspath(root)
    return os.path.relpath(os.path.join(base, name), base)


def is_folder(path: str) -> bool:
    """Whether a clip is a folder of frames: neither a video nor an array, by its name."""
    return not VIDEO.fullmatch(path) and not path.endswith(".npy")


def _matches(
    folders: Folders, root: Path, layouts: Sequence[str], values: dict[str, str]
) -> tuple[str, list[str]]:
    """The first layout that is there, and what lies so."""
    for layout in layouts:
        try:
            path = layout.format_map(values)
        except KeyError:  # a layout of clips that say more
            continue
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            raise ManifestError(
                f"layout '{layout}' cannot be read: {error}", "write it like 'frames/{name}'"
            ) from error
        matches = folders.named(path)
        if matches and not (_SUSPECT.search(path) and leaves(root, path)):
            return layout, matches
    return "", []


def _values(clip: AnnotatedClip, class_names: Sequence[str]) -> dict[str, str]:
    values = {"name": clip.name, "split": clip.split, **clip.fields}
    label = next(iter(clip.labels.values()), None) if class_names else None
    if isinstance(label, int):
        values["class"] = class_names[label]
        values["class_"] = class_names[label].replace(" ", "_")
    return values


def _begins(folders: Folders, layout: str) -> bool:
    """Whether the folder with which a layout begins is there."""
    fixed = layout.partition("{")[0].rpartition("/")[0]
    return not fixed or bool(folders.names(fixed))
