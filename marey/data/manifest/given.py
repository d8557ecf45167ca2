"""The file that is meant where a folder is given for a manifest: that which our commands wrote."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from marey.errors import ManifestError, first_few
from marey.storage.url import AnyPath

NAMES = ("manifest.csv", "manifest.parquet", "manifest.arrow")
"""As `marey data init`, `pack`, `longtail` and others write it."""
log = logging.getLogger("marey")


def manifest_in(folder: AnyPath) -> Path | None:
    """The manifest in a folder of this machine; None if it is no folder or has none."""
    if not isinstance(folder, Path) or not folder.is_dir():
        return None
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def given_manifest(path: AnyPath) -> AnyPath:
    """The file itself, or the manifest in a folder, which is said once.

    ManifestError for a folder without one.
    """
    if not isinstance(path, Path) or not path.is_dir():
        return path
    if found := manifest_in(path):
        _say(found)
        return found
    tables = [file.name for file in sorted(path.glob("*.csv"))]
    beside = f"; of its lists, {first_few(tables)}, give one" if tables else ""
    raise ManifestError(
        f"{path} is a folder without a manifest.csv",
        f"`marey data init {path} OUT` makes OUT/manifest.csv of class folders or a list{beside}",
    )


@cache
def _say(path: Path) -> None:
    log.info("reading %s", path)
