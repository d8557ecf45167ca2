"""Clips in folders: one folder a class, maybe below folders of train, val and test."""
# ruff: noqa: PTH112, PTH114, PTH120, PTH122, PTH208

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import SourceLine
from marey.data.manifest.paths import IMAGE, VIDEO
from marey.data.own_videos.splits import split_name
from marey.errors import ManifestError


def read_folder(root: Path) -> tuple[Listing, list[str]]:
    """The clips below `root` by the name of their class folder, and what was passed over.

    A clip is a video file or a folder of images. The folders at the top are classes; if all of
    them are named train, val or test, they are splits and the classes lie below.
    """
    try:
        return _read_folder(root)
    except OSError as error:
        raise ManifestError(f"cannot read {error.filename}: {error.strerror}") from error


def clips_below(root: Path) -> list[str]:
    """The paths, from `root`, of all clips below it, at any depth; ["."] if it is one itself."""
    try:
        return [path.removeprefix("./") for path in _clips(str(root), ".", Counter(), depth=1)]
    except OSError as error:
        raise ManifestError(f"cannot read {error.filename}: {error.strerror}") from error


def _read_folder(root: Path) -> tuple[Listing, list[str]]:
    rows: list[ListRow] = []
    sides: list[str] = []
    empty: list[str] = []
    other: Counter[str] = Counter()
    for folder, label, split in _class_folders(root):
        paths = list(_clips(str(root), folder, other))
        rows += [ListRow(SourceLine(root), path, {"label": label}) for path in paths]
        sides += [split] * len(paths)
        empty += [] if paths else [folder]
    if not rows:
        raise ManifestError(
            f"{root}: no videos in class folders",
            "expected CLASS/clip.mp4 or CLASS/clip/img_00001.jpg, or a list of clips",
        )
    columns = {"split": sides} if sides[0] else {}
    below = " below train, val and test" if columns else ""
    form = f"class folders{below}, {len(rows):,} clips"
    loose = sum(bool(VIDEO.fullmatch(name)) for name in _names(str(root)))
    return Listing(root, form, rows, columns=columns), _notes(empty, other, loose)


def _class_folders(root: Path) -> list[tuple[str, str, str]]:
    """Folder from the root, class and split (or empty) of every class folder."""
    tops = _folders(root)
    splits = {top: split_name(top) or "" for top in tops}
    if tops and all(splits.values()):
        return [
            (f"{top}/{name}", name, splits[top]) for top in tops for name in _folders(root / top)
        ]
    return [(name, name, "") for name in tops]


def _clips(root: str, folder: str, other: Counter[str], depth: int = 0) -> Iterator[str]:
    """Videos and folders of images below `folder`, sorted; counts other files by suffix."""
    names = _names(f"{root}/{folder}")
    videos = [name for name in names if VIDEO.fullmatch(name)]
    if not videos and any(IMAGE.fullmatch(name) for name in names):
        if not depth:
            raise ManifestError(
                f"{root}/{folder}: images in a class folder",
                "give every clip a folder of its own: CLASS/CLIP/img_00001.jpg",
            )
        yield folder
        return
    for name in names:
        path = f"{folder}/{name}"
        if os.path.isdir(f"{root}/{path}"):
            if not _is_loop(f"{root}/{path}"):
                yield from _clips(root, path, other, depth + 1)
        elif VIDEO.fullmatch(name):
            yield path
        else:
            other[os.path.splitext(name)[1].lower() or "without suffix"] += 1


def _is_loop(folder: str) -> bool:
    """Whether it is a link to a folder that it lies in."""
    if not os.path.islink(folder):
        return False
    target = os.path.realpath(folder)
    return f"{os.path.realpath(os.path.dirname(folder))}/".startswith(f"{target}/")


def _folders(folder: Path) -> list[str]:
    return [name for name in _names(str(folder)) if os.path.isdir(folder / name)]


def _names(folder: str) -> list[str]:
    """What lies in a folder, sorted, but for what systems and archives leave there."""
    return sorted(name for name in os.listdir(folder) if not name.startswith((".", "__MACOSX")))


def _notes(empty: list[str], other: Counter[str], loose: int) -> list[str]:
    notes = [f"no clips in {name}/: not a class" for name in empty]
    if other:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in other.most_common(5))
        notes.append(f"passed over {other.total():,} files that are not videos: {kinds}")
    if loose:
        notes.append(f"passed over {loose:,} videos that lie in no class folder")
    return notes
