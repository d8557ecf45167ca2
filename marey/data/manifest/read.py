"""Reading a manifest: read, place, check, give. And whether its clips' files are there."""

from __future__ import annotations

import atexit
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from marey.data.features.feature_file import FeatureFile, is_arrow
from marey.data.manifest.classes import Heads, classes_file
from marey.data.manifest.columns import KNOWN
from marey.data.manifest.faults import raise_faults, refuse
from marey.data.manifest.formats import header_of, read_table
from marey.data.manifest.given import given_manifest
from marey.data.manifest.location import BESIDE, Location, Roots, roots_among_urls, roots_by_source
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.mapped import AGAIN, open_mapped
from marey.data.manifest.paths import stay_inside, stray_faults, url_fault
from marey.data.manifest.rules import checked_manifest, refuse_cells
from marey.data.manifest.spellings import missing_fault
from marey.errors import ManifestError
from marey.storage.regular import refuse_stream
from marey.storage.temporary import temporary_folder
from marey.storage.url import UNREACHED, AnyPath, Url, any_path


def read_manifest(
    path: str | AnyPath,
    *,
    split: str | None = None,
    heads: Heads | None = None,
    at: Location = BESIDE,
) -> Manifest:
    """The manifest of a CSV, Parquet or Arrow file, checked wholly, of one split if asked for.

    Whether the files of the clips are there is not asked: `require_files` does.

    Args:
        path: the file, its url, or the folder that `marey data init` wrote it into.
        split: train, val, test or another word of the column `split`; default: all rows.
        heads: name -> the classes that the model has, their number or their names, which serve
            where the list brings none; default: `label` and every column with a
            ``labels.<column>.txt``; empty: clips without labels.
        at: where the clips lie; default: paths start at the folder of the file. Paths that leave a
            root that is given are refused, those that leave a url always.

    Raises:
        ManifestError: the first five faults, each with file, line, value and remedy, and how many
            there are: labels outside the range or from 1, clips given twice, ends before starts,
            ragged rows, bad UTF-8, paths that lead out of their root.
    """
    source = given_manifest(any_path(path))
    with _at_hand(source, heads) as file:
        manifest = placed(_read(file, heads), source, at)
        _refuse_strays(file, manifest, at)
    return manifest if split is None else manifest.select(split)


def require_files(manifest: Manifest, split: str | None = None) -> None:
    """ManifestError with the first five clips (default: of all splits) that have no file.

    Files are looked for where they lie, also in stores, by one listing a folder. Lines are named
    if `manifest` is as it was read.
    """
    _refuse_missing(manifest, split, (Path, Url))


def require_local_files(manifest: Manifest, split: str | None = None) -> None:
    """`require_files` of this machine alone, and of no mapped manifest: that opens at once."""
    if manifest.mapped is None:
        _refuse_missing(manifest, split, (Path,))


def placed(manifest: Manifest, source: AnyPath, at: Location) -> Manifest:
    """The manifest as one of the file `source`, with the places that its clips lie in.

    Whether paths stay there is not asked.
    """
    root = source.parent if at.root is None else any_path(at.root)
    manifest = replace(manifest, source=source, roots=Roots((root,)), is_as_read=True)
    if at.roots:
        roots = roots_by_source(manifest.sources, manifest.roots, at.roots)
        manifest = replace(manifest, roots=roots)
    elif at.urls:
        paths, roots = roots_among_urls(manifest.paths, root, at.urls)
        if roots.codes is not None:
            manifest = replace(manifest.with_columns({"path": paths}), roots=roots)
    return manifest.with_feature_files()


def _read(file: Path, heads: Heads | None) -> Manifest:
    """The manifest in the file, whose clips lie beside it."""
    opened = open_mapped(file, heads) if is_arrow(file) else None
    if opened is None:
        return checked_manifest(file, read_table(file, heads), heads)
    rows, classes = opened
    roots = Roots((file.parent,))
    manifest = Manifest(source=file, roots=roots, table=rows.table, classes=classes, mapped=rows)
    if rows.digest and not rows.is_compared:
        _compare_digest(file, rows.digest)
    refuse_cells(file, manifest)
    return manifest


def _compare_digest(file: Path, digest: str) -> None:
    """ManifestError if the mapped manifest in the file has another digest than stands in it."""
    opened = open_mapped(file, None)  # all heads have a part in it
    assert opened is not None
    rows, classes = opened
    whole = Manifest(source=file, roots=Roots((file.parent,)), table=rows.table, classes=classes)
    if whole.digest() != digest:
        raise ManifestError(f"{file} is damaged: it holds other bytes than were written", AGAIN)


def _refuse_strays(file: Path, manifest: Manifest, at: Location) -> None:
    """ManifestError if a path leads where it must not; a checked file says so of its own root."""
    is_known = manifest.mapped is not None and manifest.mapped.inside and not at.is_given
    if is_known or stay_inside(manifest.paths):
        return
    refuse(file, [url_fault(manifest.paths)])
    refuse(file, stray_faults(manifest, manifest.roots.folders if at.is_given else ()))


def _refuse_missing(
    manifest: Manifest, split: str | None, kinds: tuple[type[Path] | type[Url], ...]
) -> None:
    """ManifestError if clips below roots of these kinds have no file."""
    if isinstance(manifest.features, FeatureFile):
        return
    parts = manifest.roots.parts(manifest.rows_of(split))
    faults = [
        missing_fault(manifest, root, rows) for root, rows in parts if isinstance(root, kinds)
    ]
    if not manifest.is_as_read:
        raise_faults(faults, lambda rows: [str(manifest.source)] * len(rows))
    elif any(len(fault.rows) for fault in faults):
        with _at_hand(manifest.source, {}) as file:
            refuse(file, faults)


@contextmanager
def _at_hand(source: AnyPath, heads: Heads | None) -> Iterator[Path]:
    """The manifest as a file of this machine: itself, or a copy that is gone after the block.

    A copy that is mapped into memory stays until the process ends. Messages name the url.
    """
    if isinstance(source, Path):
        try:
            refuse_stream(source)  # it would be read twice, and paths in it start at its folder
        except OSError as error:
            reason = f"cannot read {source}: {error.strerror}"
            raise ManifestError(reason, "write the list into a file first") from error
        yield source
        return
    opened = ExitStack()
    folder = opened.enter_context(temporary_folder("manifest"))
    file = folder / source.name
    keep = is_arrow(file)
    if keep:
        atexit.register(opened.close)
    try:
        _download(source, file, heads)
        yield file
    except ManifestError as error:
        message = error.message.replace(str(folder), str(source.parent).rstrip("/"))
        raise ManifestError(message, error.hint) from None
    finally:
        if not keep:
            opened.close()


def _download(url: Url, file: Path, heads: Heads | None) -> None:
    """Copy the manifest to `file`, and the class names of its heads beside it."""
    with _url_errors(url):
        url.download(file)
    if is_arrow(file):  # which has the class names in it
        return
    words = [name for name in header_of(file) if re.fullmatch(r"\w+", name)]
    others = [name for name in words if name not in KNOWN] if heads is None else [*heads]
    for head in {"label", *others}:
        names = classes_file(file.parent, head)
        with _url_errors(url.parent / names.name):
            try:
                (url.parent / names.name).download(names)
            except FileNotFoundError:
                names.unlink(missing_ok=True)  # fsspec may have begun it


@contextmanager
def _url_errors(url: Url) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ManifestError(f"cannot read {url}: {error.strerror}", UNREACHED) from error
