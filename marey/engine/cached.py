"""What marey keeps on this machine and can make or fetch again: how much it is, and its removal.

    features   what frozen encoders gave of clips: MAREY_CACHE/features/DIGEST/
    releases   published checkpoints, converted: MAREY_WEIGHTS/releases/NAME/; models of the hub,
               copied from its cache: MAREY_WEIGHTS/releases/hub/ORG--NAME/COMMIT/
    weights    published files: MAREY_WEIGHTS/FILE

What is not known by its name and form for one of these is another's, and is left alone, also where
the variables name a folder of other things. So are the caches of torch.hub and of Hugging Face.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from marey.engine.inference.encoded import ABOUT, features_folder
from marey.engine.weights.hub_release import hub_releases
from marey.engine.weights.imagenet import OFFICIAL
from marey.engine.weights.published import cache_folder
from marey.engine.weights.zoo.catalog import CHECKPOINTS, release_folder
from marey.errors import counted
from marey.recipes.release import CONFIG
from marey.storage.atomic import run_error


@dataclass(frozen=True)
class CachePart:
    """One kind of what is kept."""

    name: str
    folder: Path
    entries: tuple[Path, ...]
    """Folders and files of ours in it; nothing else is counted or removed."""

    @cached_property
    def num_bytes(self) -> int:
        """What they take."""
        return sum(path.lstat().st_size for entry in self.entries for path in _files(entry))

    def in_words(self) -> str:
        """How many there are, and their size."""
        entries = counted(len(self.entries), "entry", "entries")
        return f"{entries}, {size_in_words(self.num_bytes)}"

    def empty(self) -> None:
        """Remove them; RunError names the first that cannot be."""
        for entry in self.entries:
            try:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink(missing_ok=True)
            except OSError as error:
                raise run_error(entry, str(error), "remove it by hand") from error


def cache_parts() -> list[CachePart]:
    """What is kept now, of every kind."""
    features, weights = features_folder(), cache_folder()
    return [
        CachePart("features", features, tuple(_features(features))),
        CachePart("releases", weights / "releases", tuple(_releases())),
        CachePart("weights", weights, tuple(_weights(weights))),
    ]


def cache_in_words() -> str:
    """Where it is and how large, in a line."""
    parts = cache_parts()
    told = ", ".join(f"{part.name} {size_in_words(part.num_bytes)}" for part in parts)
    folders = dict.fromkeys(str(path) for path in (features_folder().parent, cache_folder()))
    return f"{' and '.join(folders)}: {told}"


def size_in_words(num_bytes: int) -> str:
    """A size as people say it.

    >>> size_in_words(0), size_in_words(1536), size_in_words(3 << 30)
    ('0 B', '1.5 KiB', '3.0 GiB')
    """
    size, units = float(num_bytes), ["B", "KiB", "MiB", "GiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} B" if units[0] == "B" else f"{size:,.1f} {units[0]}"


def _features(folder: Path) -> Iterator[Path]:
    found = sorted(folder.glob("*")) if folder.is_dir() else []
    yield from (
        each
        for each in found
        if re.fullmatch(r"[0-9a-f]{16}", each.name) and (each / ABOUT).is_file()
    )


def _releases() -> Iterator[Path]:
    folders = [*map(release_folder, sorted(CHECKPOINTS)), *hub_releases()]
    yield from (each for each in folders if (each / CONFIG).is_file())


def _weights(folder: Path) -> Iterator[Path]:
    """Published files, whole or not yet, with what a download has beside them."""
    names = {name for each in (*CHECKPOINTS.values(), *OFFICIAL.values()) for name in each.files}
    ends = ("", ".part", ".part.version", ".lock")
    paths = (folder / f"{name}{end}" for name in sorted(names) for end in ends)
    yield from (path for path in paths if path.is_file())


def _files(entry: Path) -> Iterator[Path]:
    if entry.is_dir() and not entry.is_symlink():
        yield from (path for path in entry.rglob("*") if not path.is_dir())
    else:
        yield entry
