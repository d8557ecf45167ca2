"""A manifest: which clips there are, where each lies, and what it shows.

A CSV or Parquet file ``path,label[,split,group,start,end,num_frames,fps]``, one row a clip::

    path,label,split
    wave/a.mp4,0,train
    "hop, skip/b.mp4",1,val

`label` is a class index from 0, or a class name from the file ``labels.txt`` beside it (one name a
line); ``3|17`` is a clip of two classes. Other heads have a column of their name and
``labels.<head>.txt``. ``start,end`` cut a clip
out of a longer file, in seconds; ``start_frame,end_frame`` do so in frames from 0; the end is
exclusive and an empty cell is open. `num_frames` is what decodes, not what the file declares;
`fps` is the rate at which a folder of frames was extracted, which no one else can know.

A file of features (`marey.data.features`) is a manifest too, as is one whose paths lead to features
(`marey.data.feature_files`).

A manifest is read once and checked wholly. In memory it is columns (Arrow, NumPy), never a list of
objects, so that ten million rows open in seconds and loader workers share them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from marey.data.atomic import replacing
from marey.data.cells import cells_of, quoting
from marey.data.classes import write_classes
from marey.data.feature_files import FeatureFiles, holds_features
from marey.data.features import FeatureFile, is_feature_file
from marey.data.manifest_file import BOUNDS, Unit, read_raw, refuse
from marey.data.mapped import Column, Mapped, open_mapped, write_mapped
from marey.data.pack import pack_features
from marey.data.places import leaving_root, missing, rebased, stay_inside, texts
from marey.data.repeats import text_buffers
from marey.errors import ManifestError
from marey.video.reader import Span

SPLITS = ("train", "val", "test")
"""The splits every command knows; a manifest may name others."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """Clips and their labels in columns of one length; row i is clip i."""

    source: Path
    root: Path
    paths: pa.ChunkedArray
    """large_string [n], relative to `root` or absolute."""
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    """Head name -> int64 [n], each in 0..k-1; bool [n k] where clips have several classes."""
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Head name -> k class names."""
    splits: pa.DictionaryArray | None = None
    groups: pa.DictionaryArray | None = None
    sources: pa.DictionaryArray | None = None
    """Where each clip comes from, in a word: real, synthetic."""
    starts: np.ndarray | None = None
    """float64 [n], NaN where open."""
    ends: np.ndarray | None = None
    unit: Unit = "seconds"
    frame_counts: np.ndarray | None = None
    """int64 [n] decoded frames of the whole file, -1 where unknown."""
    rates: np.ndarray | None = None
    """float64 [n] frames a second, NaN where unknown."""
    features: FeatureFile | FeatureFiles | None = None
    """What stands in place of the clips' frames, if it does."""
    mapped: Mapped | None = None
    """The rows of a file that the columns are, if they are."""

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, row: int) -> Path:
        """Where the clip lies."""
        return self.root / str(self.paths[row])

    def texts(self, rows: np.ndarray | None = None) -> Iterator[str]:
        """The paths as they are written, of `rows` (int64) or of all, a few at a time."""
        return texts(self.paths, rows)

    def span(self, row: int) -> Span | None:
        """The part of the file that is the clip; None for all of it."""
        start = _bound(self.starts, row)
        end = _bound(self.ends, row)
        return None if start is end is None else Span(start, end, self.unit)

    def num_frames(self, row: int) -> int | None:
        """Frames that decode from the whole file, if the manifest knows."""
        count = -1 if self.frame_counts is None else int(self.frame_counts[row])
        return None if count < 0 else count

    def fps(self, row: int) -> float | None:
        """Frames a second of the file, if the manifest knows."""
        return _bound(self.rates, row)

    def class_counts(self, head: str = "label") -> np.ndarray:
        """Clips of every class, int64 [k]."""
        if self.has_several(head):
            counts: np.ndarray = self.labels[head].sum(axis=0, dtype=np.int64)
            return counts
        return np.bincount(self.labels[head], minlength=len(self.classes[head]))

    def has_several(self, head: str) -> bool:
        """Whether clips have several classes of `head`."""
        return self.labels[head].ndim == 2

    def with_several(self, heads: Iterable[str]) -> Manifest:
        """The same, with labels bool [n k] of these heads also if no clip has two classes."""
        hot = {
            head: self.labels[head][:, None] == np.arange(len(self.classes[head]))
            for head in heads
            if head in self.labels and not self.has_several(head)
        }
        return replace(self, labels=self.labels | hot) if hot else self

    def split_counts(self) -> dict[str, int]:
        """Clips of every split: train, val, test, others; empty without a split column."""
        if self.splits is None:
            return {}
        counts = np.bincount(self.splits.indices.to_numpy(), minlength=len(self.splits.dictionary))
        named = dict(zip(self.splits.dictionary.to_pylist(), counts.tolist(), strict=True))
        ordered = [*(name for name in SPLITS if name in named), *sorted(named.keys() - set(SPLITS))]
        return {name: named[name] for name in ordered if named[name]}

    def select(self, split: str) -> Manifest:
        """The clips of one split; all if the manifest has no split column."""
        return self if self.splits is None else self.take(self.rows_of(split))

    def rows_of(self, split: str) -> np.ndarray:
        """The rows of one split, int64; all rows if the manifest has no split column."""
        if self.splits is None:
            return np.arange(len(self))
        counts = self.split_counts()
        if split not in counts:
            there = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
            raise ManifestError(f"{self.source}: no rows of split {split!r}", f"it has {there}")
        code = self.splits.dictionary.to_pylist().index(split)
        return np.flatnonzero(self.splits.indices.to_numpy() == code)

    def take(self, rows: np.ndarray) -> Manifest:
        """The rows asked for (int64), in that order; a stretch of a mapped file is not copied."""
        indices = pa.array(np.asarray(rows, dtype=np.int64))
        if self._follows(self.mapped) and (stretch := self.mapped.part(indices.to_numpy())):
            return replace(self, mapped=stretch, **stretch.columns)
        return replace(
            self,
            mapped=None,
            paths=self.paths.take(indices),
            labels={head: column[rows] for head, column in self.labels.items()},
            splits=None if self.splits is None else self.splits.take(indices),
            groups=None if self.groups is None else self.groups.take(indices),
            sources=None if self.sources is None else self.sources.take(indices),
            starts=None if self.starts is None else self.starts[rows],
            ends=None if self.ends is None else self.ends[rows],
            frame_counts=None if self.frame_counts is None else self.frame_counts[rows],
            rates=None if self.rates is None else self.rates[rows],
            features=None if self.features is None else self.features.take(indices.to_numpy()),
        )

    def digest(self) -> str:
        """Sha256 of what is shown and what must be answered: paths, spans, labels, class names.

        Neither the root nor splits, groups, rates and frame counts enter: the same test set has the
        same digest on every machine, alone in a file or selected from one.
        """
        if self._follows(self.mapped) and self.mapped.is_whole:
            return self.mapped.digest
        total = hashlib.sha256(b"marey manifest 1")
        for chunk in self.paths.chunks:
            total.update(np.diff(text_buffers(chunk)[0]).data)
        for chunk in self.paths.chunks:
            total.update(np.ascontiguousarray(text_buffers(chunk)[1]).data)
        for column in (self.starts, self.ends):
            if column is not None and not np.isnan(column).all():
                total.update(self.unit.encode())
                total.update(np.where(np.isnan(column), -1.0, column).data)
            total.update(b";")
        for head in sorted(self.labels):
            total.update("\n".join([head, *self.classes[head], ""]).encode())
            kind = bool if self.has_several(head) else np.int64
            total.update(np.ascontiguousarray(self.labels[head], dtype=kind).data)
        return total.hexdigest()

    def _follows(self, mapped: Mapped | None) -> TypeGuard[Mapped]:
        """Whether all columns are those of the file."""
        return mapped is not None and all(vars(self)[n] is c for n, c in mapped.columns.items())

    def __getstate__(self) -> dict[str, Any]:
        """What another process cannot map for itself."""
        columns = self.mapped.columns if self.mapped else {}
        return {n: value for n, value in vars(self).items() if value is not columns.get(n, self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        mapped: Mapped | None = state["mapped"]
        vars(self).update((mapped.columns if mapped else {}) | state)


def read_manifest(
    path: str | Path,
    *,
    split: str | None = None,
    root: str | Path | None = None,
    heads: Mapping[str, int] | None = None,
    check_files: bool | None = None,
) -> Manifest:
    """The manifest of a CSV or Parquet file, of one split if asked for.

    root: where relative paths start (default: the folder of the file). With an explicit root,
    paths that leave it are refused. heads: name -> number of classes, as the model has them;
    default: `label` and every column with a ``labels.<column>.txt``. check_files: whether every
    clip's file is looked for; default: unless the manifest is mapped, whose rows are not looked at.

    ManifestError says the first five faults, each with file, line, value and remedy, and how many
    there are: labels outside the range or from 1, clips given twice, files that are missing
    (`check_files`, of the selected split only), ends before starts, ragged rows, bad UTF-8.
    """
    path = Path(path)
    manifest = _mapped(path, heads) if is_feature_file(path) else None
    manifest = _checked(path, heads) if manifest is None else manifest
    mapped = manifest.mapped
    if root is not None:
        manifest = replace(manifest, root=Path(root))
        if mapped is None or not mapped.inside:
            refuse(path, [leaving_root(manifest.root, manifest.paths)])
    chosen = np.arange(len(manifest)) if split is None else manifest.rows_of(split)
    look = mapped is None if check_files is None else check_files
    if look and not isinstance(manifest.features, FeatureFile):  # which needs no other files
        refuse(path, [missing(manifest.root, manifest.paths, chosen)])
    if isinstance(manifest.features, FeatureFiles):
        manifest = replace(manifest, features=FeatureFiles(manifest.root, manifest.paths))
    return manifest if len(chosen) == len(manifest) else manifest.take(chosen)


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
        starts=raw.starts,
        ends=raw.ends,
        unit=raw.unit,
        frame_counts=raw.frame_counts,
        rates=raw.rates,
        features=features,
    )


def write_manifest(
    manifest: Manifest, path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write `manifest` as CSV (or Parquet, by the suffix) with its class names beside it.

    NAME.arrow is mapped into memory when it is read, at once whatever its size; see
    `marey.data.mapped`. It has the class names in it, and the features, if there are any: then
    another name is a ManifestError. Each file is replaced as a whole. Paths become relative to the
    new file's folder where the clips lie inside it, else absolute: `read_manifest(path)` finds the
    same clips.
    """
    path, features = Path(path), manifest.features
    if is_feature_file(path) and features is None:
        return _write_mapped(manifest, path)
    table = manifest_table(manifest, path.parent)
    if is_feature_file(path) and features is not None:
        return pack_features(table, features, manifest.classes, path, progress=progress)
    if isinstance(features, FeatureFile):
        raise ManifestError(
            f"{manifest.source} holds features, {path} cannot", "call it NAME.arrow"
        )
    write_classes(manifest.classes, path.parent)
    with replacing(path) as file:
        if path.suffix.lower() in (".parquet", ".pq"):
            pyarrow.parquet.write_table(table, file)
            return None
        file.write((",".join(table.column_names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style=quoting(table))
        pyarrow.csv.write_csv(table, file, options)
    return None


def _write_mapped(manifest: Manifest, path: Path) -> None:
    """Write rows that are in memory, those of a split together, to a file that is mapped."""
    if manifest.splits is not None:
        names = manifest.splits.dictionary.to_pylist()
        places = np.array([[*manifest.split_counts(), *names].index(name) for name in names])
        order = places.astype(np.uint16)[manifest.splits.indices.to_numpy()]
        manifest = manifest.take(np.argsort(order, kind="stable"))
    columns = _columns(manifest, path.parent)
    digest = replace(manifest, paths=columns["path"]).digest()
    inside = stay_inside(columns["path"])
    write_mapped(columns, manifest.classes, path, digest=digest, inside=inside)


def manifest_table(manifest: Manifest, folder: Path) -> pa.Table:
    """The columns of a manifest file that is to lie in `folder`."""
    cells = {name: cells_of(name, column) for name, column in _columns(manifest, folder).items()}
    return pa.table(cells)


def _columns(manifest: Manifest, folder: Path) -> dict[str, Column]:
    """The columns as they are in memory, by their names in a file that is to lie in `folder`."""
    start, end = BOUNDS[manifest.unit]
    columns = {
        "path": rebased(manifest.paths, manifest.root, folder),
        **manifest.labels,
        "split": manifest.splits,
        "group": manifest.groups,
        "source": manifest.sources,
        start: manifest.starts,
        end: manifest.ends,
        "num_frames": manifest.frame_counts,
        "fps": manifest.rates,
    }
    return {name: column for name, column in columns.items() if column is not None}


def _bound(column: np.ndarray | None, row: int) -> float | None:
    return None if column is None or np.isnan(column[row]) else float(column[row])
