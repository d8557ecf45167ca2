"""Several manifests as one: clips of several sources, each list below the folder it lies in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from marey.data.manifest.classes import Heads
from marey.data.manifest.columns import repeated
from marey.data.manifest.faults import Fault, clip_text, raise_faults
from marey.data.manifest.location import BESIDE, Location, joined_roots, roots_by_source
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import stray_faults
from marey.data.manifest.read import read_manifest
from marey.errors import ManifestError
from marey.storage.url import AnyPath, any_path


def read_manifests(
    paths: Sequence[str | AnyPath],
    *,
    split: str | None = None,
    heads: Heads | None = None,
    at: Location = BESIDE,
) -> Manifest:
    """The manifest of one file, or of several in one, as `read_manifest` reads each.

    Of several, a list without a column `source` gives its name to its clips as their source; one
    without a column `split` is all train if another has the column; groups are kept where all have
    them.

    Args:
        paths: the files, or their urls; without a root that is given, each list's clips lie beside
            it.
        split, heads, at: as of `read_manifest`.

    Raises:
        ManifestError: what `read_manifest` refuses, classes of one list that are not those of
            another, spans in seconds beside spans in frames, a clip that stands in two lists.
    """
    if len(paths) == 1:
        return read_manifest(paths[0], split=split, heads=heads, at=at)
    alike = replace(at, roots={})  # sources by the names of lists are known once they are joined
    joined = join([read_manifest(path, heads=heads, at=alike) for path in paths])
    if at.roots:
        joined = _with_roots(joined, at.roots)
    return joined if split is None else joined.select(split)


def join(manifests: Sequence[Manifest]) -> Manifest:
    """The clips of all, one list after the other; see `read_manifests`."""
    first = manifests[0]
    for other in manifests[1:]:
        _check_classes(first, other)
    _check_units(manifests)
    several = [h for h in first.labels if any(m.has_several(h) for m in manifests)]
    manifests = [manifest.with_several(several) for manifest in manifests]
    have_splits = any(manifest.splits is not None for manifest in manifests)
    have_groups = all(manifest.groups is not None for manifest in manifests)
    tables = [_table(m, have_splits=have_splits, have_groups=have_groups) for m in manifests]
    table = pa.concat_tables(tables, promote_options="default")
    joined = Manifest.from_columns(
        Path(" + ".join(str(manifest.source) for manifest in manifests)),
        first.roots.folders[0],
        {name: table[name] for name in table.column_names},
        first.classes,
    )
    joined = replace(joined, roots=joined_roots([(m.roots, len(m)) for m in manifests]))
    _refuse_duplicates(joined)
    return joined


def _table(manifest: Manifest, *, have_splits: bool, have_groups: bool) -> pa.Table:
    """The table with the columns that all joined ones have."""
    columns = {}
    if manifest.sources is None:
        columns["source"] = repeated(PurePosixPath(manifest.source.name).stem, len(manifest))
    if have_splits and manifest.splits is None:
        columns["split"] = repeated("train", len(manifest))
    manifest = manifest.with_columns(columns)
    return (manifest if have_groups else manifest.without("group")).table


def _with_roots(manifest: Manifest, named: Mapping[str, str | AnyPath]) -> Manifest:
    """The same with roots of their own for the sources that have one, left by no path."""
    manifest = replace(manifest, roots=roots_by_source(manifest.sources, manifest.roots, named))
    _raise(manifest, stray_faults(manifest, set(map(any_path, named.values()))))
    return manifest


def _check_units(manifests: Sequence[Manifest]) -> None:
    with_spans = [manifest for manifest in manifests if manifest.starts is not None]
    for manifest in manifests:
        if manifest.features is not None:
            raise ManifestError(
                f"{manifest.source} holds features, which are not joined",
                "give it alone, or make features of a manifest that has all clips",
            )
    for manifest in with_spans:
        if manifest.unit != with_spans[0].unit:
            raise ManifestError(
                f"spans of {manifest.source} are in {manifest.unit}, others not",
                "give all in seconds or all in frames",
            )


def _check_classes(first: Manifest, other: Manifest) -> None:
    if first.classes.keys() != other.classes.keys():
        ours, theirs = (", ".join(sorted(manifest.classes)) for manifest in (first, other))
        raise ManifestError(
            f"{first.source} labels {ours}, {other.source} labels {theirs}", "label the same heads"
        )
    for head, names in first.classes.items():
        pairs = zip_longest(names, other.classes[head])
        for number, (ours, theirs) in enumerate(pairs):
            if ours != theirs:
                one, two = (f"'{name}'" if name else "none" for name in (ours, theirs))
                raise ManifestError(
                    f"class {number} of '{head}' is {one} in {first.source}, "
                    f"{two} in {other.source}",
                    "give both lists the same file of class names",
                )


def _refuse_duplicates(manifest: Manifest) -> None:
    fault = Fault(
        np.array(sorted(manifest.duplicates()), dtype=np.int64),
        lambda row: f"{clip_text(str(manifest.path(row)), 200)} stands in two lists",
        "keep one row a clip",
    )
    _raise(manifest, [fault])


def _raise(manifest: Manifest, faults: Sequence[Fault]) -> None:
    raise_faults(faults, lambda rows: [str(manifest.source)] * len(rows))
