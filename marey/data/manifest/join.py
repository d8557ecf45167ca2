"""Several manifests as one: clips of several sources, each list below the folder it lies in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from marey.data.manifest.classes import coded
from marey.data.manifest.duplicates import repeats
from marey.data.manifest.faults import Fault, clip_text, raise_faults
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import leaving_root, missing
from marey.data.manifest.read import read_manifest
from marey.data.manifest.roots import joined_roots, one_root, roots_by_source
from marey.errors import ManifestError
from marey.storage.url import AnyPath, any_path


def read_manifests(
    paths: Sequence[str | AnyPath],
    *,
    split: str | None = None,
    root: str | AnyPath | None = None,
    roots: Mapping[str, str | AnyPath] | None = None,
    urls: Sequence[str] = (),
    heads: Mapping[str, int] | None = None,
    check_files: bool | None = None,
) -> Manifest:
    """The manifest of one file, or of several in one, as `read_manifest` reads each.

    Of several, a list without a column `source` gives its name to its clips as their source; one
    without a column `split` is all train if another has the column; groups are kept where all have
    them. Classes must be the same:
    ManifestError says which differ; also for a clip that stands in two lists.
    """
    if len(paths) == 1:
        return read_manifest(
            paths[0],
            split=split,
            root=root,
            roots=roots,
            urls=urls,
            heads=heads,
            check_files=check_files,
        )
    if roots and urls:
        raise ValueError("roots and urls are both given, expected one of them")
    found = [
        read_manifest(path, root=root, urls=urls, heads=heads, check_files=False) for path in paths
    ]
    whole = _below(join(found), roots or {})
    chosen = whole if split is None else whole.select(split)
    _raise(
        chosen,
        [
            missing(place, chosen.paths, rows)
            for place, rows in chosen.places(np.arange(len(chosen)))
            if check_files or (check_files is None and isinstance(place, Path))
        ],
    )
    return chosen


def join(manifests: Sequence[Manifest]) -> Manifest:
    """The clips of all, one list after the other; see `read_manifests`."""
    first = manifests[0]
    for other in manifests[1:]:
        _check_classes(first, other)
    unit = next((m.unit for m in manifests if m.starts is not None), first.unit)
    for manifest in manifests:
        if manifest.features is not None:
            raise ManifestError(f"{manifest.source} holds features, which are not joined")
        if manifest.starts is not None and manifest.unit != unit:
            raise ManifestError(
                f"spans of {manifest.source} are in {manifest.unit}, others not",
                "give all in seconds or all in frames",
            )
    several = [h for h in first.labels if any(m.has_several(h) for m in manifests)]
    manifests = [manifest.with_several(several) for manifest in manifests]
    splits, groups = [m.splits for m in manifests], [m.groups for m in manifests]
    joined = Manifest(
        source=Path(" + ".join(str(manifest.source) for manifest in manifests)),
        root=first.root,
        paths=pa.chunked_array([chunk for m in manifests for chunk in m.paths.chunks]),
        labels={h: np.concatenate([m.labels[h] for m in manifests]) for h in first.labels},
        classes=first.classes,
        splits=_texts(manifests, splits, lambda _: "train") if any(splits) else None,
        groups=None if any(g is None for g in groups) else coded(pa.chunked_array(groups)),
        sources=_texts(manifests, [m.sources for m in manifests], _name),
        ids=_ids(manifests),
        starts=_numbers(manifests, [m.starts for m in manifests], np.nan),
        ends=_numbers(manifests, [m.ends for m in manifests], np.nan),
        unit=unit,
        frame_counts=_numbers(manifests, [m.frame_counts for m in manifests], -1),
        rates=_numbers(manifests, [m.rates for m in manifests], np.nan),
        roots=joined_roots([m.roots or one_root(m.root, len(m)) for m in manifests]),
    )
    _refuse_repeats(joined)
    return joined


def _below(manifest: Manifest, named: Mapping[str, str | AnyPath]) -> Manifest:
    """The same with roots of their own for the sources that have one, left by no path."""
    if not named or manifest.roots is None:
        return manifest
    manifest = replace(manifest, roots=roots_by_source(manifest.sources, manifest.roots, named))
    own = set(map(any_path, named.values()))
    everything = manifest.places(np.arange(len(manifest)))
    _raise(manifest, [leaving_root(p, manifest.paths, rows) for p, rows in everything if p in own])
    return manifest


def _check_classes(first: Manifest, other: Manifest) -> None:
    if first.classes.keys() != other.classes.keys():
        ours, theirs = (", ".join(sorted(manifest.classes)) for manifest in (first, other))
        raise ManifestError(
            f"{first.source} labels {ours}, {other.source} labels {theirs}", "label the same heads"
        )
    for head, names in first.classes.items():
        pairs = zip_longest(names, other.classes[head])
        for place, (ours, theirs) in enumerate(pairs):
            if ours != theirs:
                said = [f"'{name}'" if name else "none" for name in (ours, theirs)]
                raise ManifestError(
                    f"class {place} of '{head}' is {said[0]} in {first.source}, "
                    f"{said[1]} in {other.source}",
                    "give both lists the same file of class names",
                )


def _refuse_repeats(manifest: Manifest) -> None:
    assert manifest.roots is not None
    keys = [manifest.roots.codes, manifest.starts, manifest.ends, manifest.ids]
    earlier = repeats(manifest.paths, keys)
    rows = np.array(sorted(earlier), dtype=np.int64)
    _raise(
        manifest,
        [
            Fault(
                rows,
                lambda row: (
                    f"{clip_text(str(manifest.path(row)), 200)} stands in two lists",
                    "keep one row a clip",
                ),
            )
        ],
    )


def _raise(manifest: Manifest, faults: Sequence[Fault]) -> None:
    raise_faults(faults, lambda rows: [str(manifest.source)] * len(rows))


def _name(manifest: Manifest) -> str:
    return PurePosixPath(manifest.source.name).stem


def _texts(
    manifests: Sequence[Manifest],
    columns: Sequence[pa.DictionaryArray | None],
    otherwise: Callable[[Manifest], str],
) -> pa.DictionaryArray:
    """Coded text of all; a manifest without the column has one word for all its rows."""
    parts = [
        pa.DictionaryArray.from_arrays(
            np.zeros(len(manifest), np.int32), pa.array([otherwise(manifest)], pa.large_string())
        )
        if column is None
        else column
        for manifest, column in zip(manifests, columns, strict=True)
    ]
    return coded(pa.chunked_array(parts))


def _ids(manifests: Sequence[Manifest]) -> pa.ChunkedArray | None:
    """Ids of all, empty for a manifest without them; None if none has any."""
    if all(manifest.ids is None for manifest in manifests):
        return None
    chunks: list[pa.Array] = []
    for manifest in manifests:
        none = pa.repeat(pa.scalar("", pa.large_string()), len(manifest))
        chunks += [none] if manifest.ids is None else manifest.ids.chunks
    return pa.chunked_array(chunks)


def _numbers(
    manifests: Sequence[Manifest], columns: Sequence[np.ndarray | None], unknown: float
) -> np.ndarray | None:
    """Numbers of all, `unknown` for a manifest without them; None if none has any."""
    some = next((column for column in columns if column is not None), None)
    if some is None:
        return None
    parts = [
        np.full(len(manifest), unknown, some.dtype) if column is None else column
        for manifest, column in zip(manifests, columns, strict=True)
    ]
    return np.concatenate(parts)
