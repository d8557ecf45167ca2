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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from marey.data.atomic import replacing
from marey.data.classes import SEPARATOR, write_classes
from marey.data.faults import Fault, clip_text
from marey.data.feature_files import FeatureFiles, holds_features
from marey.data.features import FeatureFile, is_feature_file
from marey.data.files import Folders, leaves
from marey.data.manifest_file import BOUNDS, Unit, read_raw
from marey.data.pack import pack_features
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

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, row: int) -> Path:
        """Where the clip lies."""
        return self.root / str(self.paths[row])

    def texts(self, rows: np.ndarray | None = None) -> Iterator[str]:
        """The paths as they are written, of `rows` (int64) or of all, a few at a time."""
        column = self.paths if rows is None else self.paths.take(pa.array(rows))
        for batch in column.chunks:
            for start in range(0, len(batch), 1 << 16):
                yield from batch.slice(start, 1 << 16).to_pylist()

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
        """The rows asked for (int64), in that order."""
        indices = pa.array(np.asarray(rows, dtype=np.int64))
        return replace(
            self,
            paths=self.paths.take(indices),
            labels={head: column[rows] for head, column in self.labels.items()},
            splits=None if self.splits is None else self.splits.take(indices),
            groups=None if self.groups is None else self.groups.take(indices),
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


def read_manifest(
    path: str | Path,
    *,
    split: str | None = None,
    root: str | Path | None = None,
    heads: Mapping[str, int] | None = None,
    check_files: bool = True,
) -> Manifest:
    """The manifest of a CSV or Parquet file, of one split if asked for.

    root: where relative paths start (default: the folder of the file). With an explicit root,
    paths that leave it are refused. heads: name -> number of classes, as the model has them;
    default: `label` and every column with a ``labels.<column>.txt``.

    ManifestError says the first five faults, each with file, line, value and remedy, and how many
    there are: labels outside the range or from 1, clips given twice, files that are missing
    (`check_files`, of the selected split only), ends before starts, ragged rows, bad UTF-8.
    """
    path = Path(path)
    raw = read_raw(path, heads)
    manifest = Manifest(
        source=path,
        root=path.parent if root is None else Path(root),
        paths=raw.paths,
        labels=raw.labels,
        classes=raw.classes,
        splits=raw.texts.get("split"),
        groups=raw.texts.get("group"),
        starts=raw.starts,
        ends=raw.ends,
        unit=raw.unit,
        frame_counts=raw.frame_counts,
        rates=raw.rates,
        features=raw.features,
    )
    if manifest.features is None and len(manifest) and holds_features(str(manifest.paths[0])):
        manifest = replace(manifest, features=FeatureFiles(manifest.root, manifest.paths))
    if root is not None:
        raw.refuse([_leaving_root(manifest)])
    chosen = np.arange(len(manifest)) if split is None else manifest.rows_of(split)
    if check_files and raw.features is None:  # features need no files beside their own
        raw.refuse([_missing(manifest, chosen)])
    return manifest if len(chosen) == len(manifest) else manifest.take(chosen)


def write_manifest(
    manifest: Manifest, path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write `manifest` as CSV (or Parquet, by the suffix) with its class names beside it.

    Features go into a file NAME.arrow, with the class names in it; ManifestError for another name,
    or if there are none. Each file is replaced as a whole. Paths become relative to the new file's
    folder where the clips lie inside it, else absolute: `read_manifest(path)` finds the same clips.
    """
    path = Path(path)
    table, features = manifest_table(manifest, path.parent), manifest.features
    if is_feature_file(path) and features is not None:
        return pack_features(table, features, manifest.classes, path, progress=progress)
    if is_feature_file(path) or isinstance(features, FeatureFile):
        holds, name = ("features", "NAME.arrow") if features else ("videos", "NAME.csv")
        raise ManifestError(f"{manifest.source} holds {holds}, {path} cannot", f"call it {name}")
    write_classes(manifest.classes, path.parent)
    with replacing(path) as file:
        if path.suffix.lower() in (".parquet", ".pq"):
            pyarrow.parquet.write_table(table, file)
            return None
        file.write((",".join(table.column_names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style=_quoting(table))
        pyarrow.csv.write_csv(table, file, options)
    return None


def _quoting(table: pa.Table) -> str:
    """Quotes around all text if any text needs them, else around none: easier to read and edit."""
    texts = [column for column in table.columns if column.type == pa.large_string()]
    needed = any(pc.any(pc.match_substring_regex(text, r'[",]')).as_py() for text in texts)
    return "needed" if needed else "none"


def manifest_table(manifest: Manifest, folder: Path) -> pa.Table:
    """The columns of a manifest file that is to lie in `folder`."""
    columns: dict[str, pa.Array | pa.ChunkedArray] = {"path": _rebased(manifest, folder)}
    columns |= {head: _label_cells(column) for head, column in manifest.labels.items()}
    for name, texts in (("split", manifest.splits), ("group", manifest.groups)):
        if texts is not None:
            columns[name] = texts.cast(pa.large_string())
    for name, bounds in zip(BOUNDS[manifest.unit], (manifest.starts, manifest.ends), strict=True):
        if bounds is not None:
            exact = pa.array(bounds, mask=np.isnan(bounds))
            columns[name] = exact.cast(pa.int64()) if manifest.unit == "frames" else exact
    if manifest.frame_counts is not None:
        columns["num_frames"] = pa.array(manifest.frame_counts, mask=manifest.frame_counts < 0)
    if manifest.rates is not None:
        columns["fps"] = pa.array(manifest.rates, mask=np.isnan(manifest.rates))
    return pa.table(columns)


def _label_cells(labels: np.ndarray) -> pa.Array:
    """Class indices as they are, several of a clip as text: ``3|17``."""
    if labels.ndim == 1:
        return pa.array(labels)
    rows, classes = np.nonzero(labels)
    groups = np.split(classes.astype(str), np.flatnonzero(np.diff(rows)) + 1)
    cells = np.full(len(labels), "", dtype=object)
    cells[np.unique(rows)] = [SEPARATOR.join(group) for group in groups]
    return pa.array(cells, pa.large_string())


def _rebased(manifest: Manifest, folder: Path) -> pa.ChunkedArray:
    """The paths as they read from `folder`."""
    here, root = folder.resolve(), manifest.root.resolve()
    if root == here:
        return manifest.paths
    prefix = root.relative_to(here) if root.is_relative_to(here) else root
    text = pa.large_string()
    moved = pc.binary_join_element_wise(
        pa.scalar(prefix.as_posix(), text), manifest.paths, pa.scalar("/", text)
    )
    return pc.if_else(pc.starts_with(manifest.paths, "/"), manifest.paths, moved)


def _bound(column: np.ndarray | None, row: int) -> float | None:
    return None if column is None or np.isnan(column[row]) else float(column[row])


def _leaving_root(manifest: Manifest) -> Fault:
    """The rows whose path does not stay below the root."""
    suspects = pc.match_substring_regex(manifest.paths, r"^[/\\]|(^|[/\\])\.\.([/\\]|$)|^\w:")
    rows = np.flatnonzero(suspects.to_numpy())
    outside = [leaves(manifest.root, path) for path in manifest.texts(rows)]
    return Fault(
        rows[np.array(outside, dtype=bool)],
        lambda row: (
            f"'path' is {clip_text(manifest.paths[row])}, outside the root {manifest.root}",
            "give paths relative to the root",
        ),
    )


def _missing(manifest: Manifest, rows: np.ndarray) -> Fault:
    """Those of `rows` whose file is not there."""
    folders = Folders(manifest.root)
    there = np.fromiter((folders.has(path) for path in manifest.texts(rows)), bool, len(rows))
    return Fault(
        rows[~there],
        lambda row: (
            f"no file {clip_text(str(manifest.path(row)), 200)}",
            f"paths start at {manifest.root}; give another root if the clips lie elsewhere",
        ),
    )
