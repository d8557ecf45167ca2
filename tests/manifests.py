"""Manifests whose clips are all there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest, require_local_files


def read_complete(path: str | Path, **options: Any) -> Manifest:
    """As `read_manifest`; a clip of the split whose file is not there is an error."""
    whole = read_manifest(path, **{name: options[name] for name in options if name != "split"})
    require_local_files(whole, options.get("split"))
    return read_manifest(path, **options)
