"""A manifest: which clips there are, where each lies, and what it shows.

A CSV or Parquet file ``path,label[,split,group,source,id,start,end,num_frames,fps]``, one row a
clip::

    path,label,split
    wave/a.mp4,0,train
    "hop, skip/b.mp4",1,val

`label` is a class index from 0, or a class name from the file ``labels.txt`` beside it (one name a
line); ``3|17`` is a clip of two classes. Other heads have a column of their name and
``labels.<head>.txt``. ``start,end`` cut a clip
out of a longer file, in seconds; ``start_frame,end_frame`` do so in frames from 0; the end is
exclusive and an empty cell is open. `num_frames` is what decodes, not what the file declares;
`fps` is the rate at which a folder of frames was extracted, which no one else can know. `source`
says in a word where a clip comes from (real, synthetic), for roots and weights by source. `id` is
what a data set calls a clip: no clip may be given twice, but one span annotated twice under two ids
is two clips.

A file of features (`marey.data.features.feature_file`) is a manifest too, as is one whose paths
lead to features (`marey.data.features.feature_folder`).

A manifest is read once and checked wholly. In memory it is columns (Arrow, NumPy), never a list of
objects, so that ten million rows open in seconds and loader workers share them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa

from marey.data.features.feature_file import FeatureFile
from marey.data.features.feature_folder import FeatureFiles
from marey.data.manifest.columns import Unit
from marey.data.manifest.duplicates import text_buffers
from marey.data.manifest.mapped import Mapped
from marey.data.manifest.paths import texts
from marey.data.manifest.roots import Roots
from marey.errors import ManifestError
from marey.jobs.parts import input_digest
from marey.storage.url import AnyPath
from marey.video.reading.reader import Span

SPLITS = ("train", "val", "test")
"""The splits every command knows; a manifest may name others."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """Clips and their labels in columns of one length; row i is clip i."""

    source: AnyPath
    root: AnyPath
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
    ids: pa.ChunkedArray | None = None
    """large_string [n], what the data set calls each clip; need not differ."""
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
    roots: Roots | None = None
    """In place of `root`, where clips lie in several places."""

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, row: int) -> AnyPath:
        """Where the clip lies."""
        root = self.root if self.roots is None else self.roots.of(row)
        return root / str(self.paths[row])

    def places(self, rows: np.ndarray) -> Iterator[tuple[AnyPath, np.ndarray]]:
        """Each root of these rows (int64), with those that lie below it."""
        if self.roots is None:
            yield self.root, rows
            return
        for place, places in self.roots.take(rows).parts():
            yield place, rows[places]

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
        roots = None if self.roots is None else self.roots.take(indices.to_numpy())
        if self._follows(self.mapped) and (stretch := self.mapped.part(indices.to_numpy())):
            return replace(self, mapped=stretch, roots=roots, **stretch.columns)
        return replace(
            self,
            mapped=None,
            roots=roots,
            paths=self.paths.take(indices),
            labels={head: column[rows] for head, column in self.labels.items()},
            splits=None if self.splits is None else self.splits.take(indices),
            groups=None if self.groups is None else self.groups.take(indices),
            sources=None if self.sources is None else self.sources.take(indices),
            ids=None if self.ids is None else self.ids.take(indices),
            starts=None if self.starts is None else self.starts[rows],
            ends=None if self.ends is None else self.ends[rows],
            frame_counts=None if self.frame_counts is None else self.frame_counts[rows],
            rates=None if self.rates is None else self.rates[rows],
            features=None if self.features is None else self.features.take(indices.to_numpy()),
        )

    def digest(self) -> str:
        """Sha256 of what is shown and what must be answered: paths, spans, labels, class names.

        Neither the root nor splits, groups, ids, rates and frame counts enter: the same test set
        has the same digest on every machine, alone in a file or selected from one.
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

    def where(self) -> str:
        """What tells where the clips lie from anywhere else, in one line without secrets."""
        return str(self.root.absolute()) if self.roots is None else self.roots.digest()

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


def _bound(column: np.ndarray | None, row: int) -> float | None:
    return None if column is None or np.isnan(column[row]) else float(column[row])


def table_digest(table: pa.Table) -> str:
    """Sha256 of the columns, however they lie in memory; of coded text, what it says."""
    total = hashlib.sha256()
    for batch in table.combine_chunks().to_batches(max_chunksize=1 << 16):
        columns = [
            column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
            for column in batch.columns
        ]
        total.update(pa.RecordBatch.from_arrays(columns, batch.schema.names).serialize())
    return total.hexdigest()


def digest_with(manifest: Manifest, *names: str) -> str:
    """Of `Manifest.digest` and of its columns of these names, as far as they are there."""
    columns = {name: getattr(manifest, name) for name in names}
    there = {name: column for name, column in columns.items() if column is not None}
    facts = {"clips": manifest.digest(), "columns": list(there)}
    return input_digest(facts | {"values": table_digest(pa.table(there))})
