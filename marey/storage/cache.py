"""Where marey keeps what it can make or fetch again: weights, releases, features."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """The folder that MAREY_CACHE names, else ~/.cache/marey; it may not be there yet."""
    return named_folder("MAREY_CACHE") or Path.home() / ".cache" / "marey"


def named_folder(variable: str) -> Path | None:
    """The folder that a variable of the environment names, ``~`` being home; None for no name."""
    name = os.environ.get(variable)
    return Path(name).expanduser() if name else None


def missing_folder(variable: str) -> str:
    """That the folder which a variable names is not there, for an error of what lacks; or ""."""
    folder = named_folder(variable)
    return "" if folder is None or folder.is_dir() else f" ({variable} names no folder: {folder})"
