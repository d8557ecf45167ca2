"""Reading a manifest: a file or url becomes a `Manifest`, placed and checked."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from marey.data.features.feature_file import FeatureFile, is_feature_file
from marey.data.features.feature_folder import FeatureFiles, holds_features
from marey.data.manifest.classes import classes_file
from marey.data.manifest.columns import KNOWN, header_of, read_raw, refuse
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.mapped import open_mapped
from marey.data.manifest.paths import leaving_root, missing, stay_inside, urls_among
from marey.data.manifest.roots import one_root, roots_by_source, urls_as_roots
from marey.data.manifest.write import manifest_table as manifest_table
from marey.data.manifest.write import write_manifest as write_manifest
from marey.errors import ManifestError
from marey.storage.url import UNREACHED, AnyPath, Url, any_path


def read_manifest(
    path: str | AnyPath,
    *,
    split: str | None = None,
    root: str | AnyPath | None = None,
    roots: Mapping[str, str | AnyPath] | None = None,
    urls: Sequence[str] = (),
    heads: Mapping[str, int] | None = None,
    check_files: bool | None = None,
) -> Manifest:
    """The manifest of a CSV, Parquet or Arrow file, of one split if asked for.

    root: where relative paths start (default: the folder of the file). With an explicit root,
    paths that leave it are refused, below a url always. roots: source -> root of its clips, for
    sources that have one of their own. urls: what paths that are urls themselves may begin with;
    there are none by default. heads: name -> number of classes, as the model has them; default:
    `label` and every column with a ``labels.<column>.txt``. check_files: whether every clip's file
    is looked for; default: those of this machine, unless the manifest is mapped.

    ManifestError says the first five faults, each with file, line, value and remedy, and how many
    there are: labels outside the range or from 1, clips given twice, files that are missing
    (`check_files`, of the selected split only), ends before starts, ragged rows, bad UTF-8.
    """
    place = any_path(path)
    with at_hand(place, heads) as file:
        manifest = _mapped(file, heads) if is_feature_file(file) else None
        manifest = _checked(file, heads) if manifest is None else manifest
        start = place.parent if root is None else any_path(root)
        manifest = _placed(replace(manifest, source=place, root=start), roots or {}, urls)
        everything = np.arange(len(manifest))
        trusted = manifest.mapped is not None and manifest.mapped.inside
        if not trusted or ((root is not None or roots) and not stay_inside(manifest.paths)):
            refuse(file, [urls_among(manifest.paths)])
            refuse(
                file,
                [
                    leaving_root(place, manifest.paths, rows)
                    for place, rows in manifest.places(everything)
                    if root is not None or roots or isinstance(place, Url)
                ],
            )
        chosen = everything if split is None else manifest.rows_of(split)
        if check_files is not False and not isinstance(manifest.features, FeatureFile):
            refuse(
                file,
                [
                    missing(place, manifest.paths, rows)
                    for place, rows in manifest.places(chosen)
                    if check_files or (manifest.mapped is None and isinstance(place, Path))
                ],
            )
    return manifest if len(chosen) == len(manifest) else manifest.take(chosen)


def _placed(
    manifest: Manifest, roots: Mapping[str, str | AnyPath], urls: Sequence[str]
) -> Manifest:
    """The same with the places its clips lie in."""
    if roots and urls:
        raise ValueError("roots and urls are both given, expected one of them")
    if roots:
        base = one_root(manifest.root, len(manifest))
        found = roots_by_source(manifest.sources, base, roots)
        manifest = replace(manifest, roots=found)
    elif urls:
        paths, among = urls_as_roots(manifest.paths, manifest.root, urls)
        manifest = replace(manifest, paths=paths, roots=among) if among else manifest
    if isinstance(manifest.features, FeatureFiles):
        if manifest.roots or isinstance(manifest.root, Url):
            raise ManifestError(
                f"{manifest.source} names files of features in stores or several places",
                "pack them where they lie: `marey data pack`",
            )
        return replace(manifest, features=FeatureFiles(manifest.root, manifest.paths))
    return manifest


def _mapped(path: Path, heads: Mapping[str, int] | None) -> Manifest | None:
    found = open_mapped(path, heads)
    return None if found is None else Manifest(path, path.parent, **found.columns, mapped=found)


def _checked(path: Path, heads: Mapping[str, int] | None) -> Manifest:
    raw = read_raw(path, heads)
    features: FeatureFile | FeatureFiles | None = raw.features
    if features is None and holds_features(str(raw.paths[0])):
        features = FeatureFiles(path.parent, raw.paths)
    return Manifest(
        source=path,
        root=path.parent,
        paths=raw.paths,
        labels=raw.labels,
        classes=raw.classes,
        splits=raw.texts.get("split"),
        groups=raw.texts.get("group"),
        sources=raw.texts.get("source"),
        ids=raw.ids,
        starts=raw.starts,
        ends=raw.ends,
        unit=raw.unit,
        frame_counts=raw.frame_counts,
        rates=raw.rates,
        features=features,
    )


@contextmanager
def at_hand(place: AnyPath, heads: Mapping[str, int] | None) -> Iterator[Path]:
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
