"""Manifests that lie in a store: copied here, with the class names beside them, to be read."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from marey.data.features.feature_file import is_feature_file
from marey.data.manifest.classes import classes_file
from marey.data.manifest.columns import KNOWN, header_of
from marey.errors import ManifestError
from marey.storage.url import UNREACHED, Place, Url


@contextmanager
def at_hand(place: Place, heads: Mapping[str, int] | None) -> Iterator[Path]:
    """The manifest as a file of this machine: itself, or a copy that is gone after the block.

    A copy that is mapped into memory stays until the process ends. Messages name the url.
    """
    if isinstance(place, Path):
        yield place
        return
    folder = Path(tempfile.mkdtemp(prefix="marey-manifest-"))
    file = folder / place.name
    keep = is_feature_file(file)
    if keep:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        _copy(place, file, heads)
        yield file
    except ManifestError as error:
        there = str(place.parent).rstrip("/")
        raise ManifestError(error.message.replace(str(folder), there), error.hint) from None
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(url: Url, file: Path, heads: Mapping[str, int] | None) -> None:
    try:
        url.download(file)
    except OSError as error:
        raise ManifestError(f"cannot read {url}: {error.strerror}", UNREACHED) from error
    if is_feature_file(file):  # which has the class names in it
        return
    words = [name for name in header_of(file) if re.fullmatch(r"\w+", name)]
    others = [name for name in words if name not in KNOWN] if heads is None else [*heads]
    for head in {"label", *others}:
        names = classes_file(file.parent, head)
        try:
            (url.parent / names.name).download(names)
        except FileNotFoundError:
            names.unlink(missing_ok=True)  # fsspec may have begun it
        except OSError as error:
            raise ManifestError(
                f"cannot read {url.parent / names.name}: {error.strerror}", UNREACHED
            ) from error
