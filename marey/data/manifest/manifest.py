"""A manifest: which clips there are, where each lies, and what it shows.

A CSV or Parquet file ``path,label[,split,group,source,id,fold,start,end,num_frames,fps]``, one row
a clip::

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
is two clips. `fold` is a number of cross-validation, empty for clips of none, such as those to test
on: each fold validates once what is trained on the others.

A file of features (`marey.data.features.feature_file`) is a manifest too, as is one whose paths
lead to features (`marey.data.features.feature_folder`).

A manifest is read once and checked wholly. In memory it is an Arrow table, never a list of objects,
so that ten million rows open in seconds and loader workers share them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa

from marey.data.features.feature_file import Features
from marey.data.features.feature_folder import FeatureFiles, holds_features
from marey.data.manifest.columns import (
    BOUNDS,
    ID,
    Unit,
    Values,
    as_array,
    as_codes,
    as_table,
    beside,
)
from marey.data.manifest.duplicates import duplicates, plain, text_buffers
from marey.data.manifest.location import Roots
from marey.data.manifest.mapped import MappedRows
from marey.errors import ManifestError
from marey.jobs.half_done import input_digest
from marey.storage.url import AnyPath, Url
from marey.video.reading.reader import Span

SPLITS = ("train", "val", "test")
"""The splits every command knows; a manifest may name others."""


@dataclass(frozen=True, kw_only=True)
class VideoClip:
    """Where the clip of a row lies, and what the manifest knows of its file."""

    row: int
    text: str
    """Its path as the manifest has it."""
    path: AnyPath
    span: Span | None = None
    num_frames: int | None = None
    """Frames that decode from the whole file."""
    fps: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Manifest:
    """Clips and their labels: a table, and what the table does not say. Row i is clip i.

    `read_manifest` reads one from a file, `from_columns` makes one. Its properties are the columns
    of the table as NumPy and Arrow have them, where they lie; None for a column that is not there.
    """

    source: AnyPath
    """The file it was read from, or what else it was made of, for messages."""
    roots: Roots
    """Where the path of every clip starts."""
    table: pa.Table
    """The columns; see `marey.data.manifest.columns`."""
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Head name -> k class names."""
    features: Features | None = None
    """What stands in place of the clips' frames, if it does."""
    mapped: MappedRows | None = None
    """The rows of a mapped file that columns of the table are, if they are."""
    is_as_read: bool = False
    """Whether row i is row i of the file `source`, so that a message may name its line."""

    @classmethod
    def from_columns(
        cls,
        source: AnyPath,
        root: AnyPath,
        columns: Mapping[str, Values | None],
        classes: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Self:
        """A manifest of clips that lie below `root`.

        Args:
            source: the file or folder that messages name.
            root: where relative paths start.
            columns: by their names in a file, `path` among them; numbers and text may be None where
                unknown, labels are int64 [n] or, of several classes, bool [n k]. None is left out.
            classes: head -> class names; each of these columns is one of labels.

        Raises:
            ValueError: a label is None.

        >>> from pathlib import Path
        >>> columns = {"path": ["a.mp4", "b.mp4"], "label": [1, 0], "num_frames": [None, 30]}
        >>> names = {"label": ("jump", "run")}
        >>> clips = Manifest.from_columns(Path("m.csv"), Path("videos"), columns, names)
        >>> clips.path(0), clips.labels["label"], clips.frame_counts, clips.starts
        (PosixPath('videos/a.mp4'), array([1, 0]), array([-1, 30]), None)
        """
        classes = dict(classes or {})
        table = as_table(columns, classes)
        return cls(source=source, roots=Roots((root,)), table=table, classes=classes)

    # --- the columns ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def paths(self) -> pa.ChunkedArray:
        """Text [n], relative to the root of the row or absolute."""
        return self.table["path"]

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Head name -> int64 [n], each in 0..k-1; bool [n k] where clips have several classes."""
        names = self.table.column_names
        return {head: as_array(self.table[head]) for head in self.classes if head in names}

    @cached_property
    def splits(self) -> pa.DictionaryArray | None:
        """Coded text [n]: train, val, test."""
        return self._codes("split")

    @cached_property
    def groups(self) -> pa.DictionaryArray | None:
        """Coded text [n]: what no split may divide, such as a person."""
        return self._codes("group")

    @cached_property
    def sources(self) -> pa.DictionaryArray | None:
        """Coded text [n], where each clip comes from, in a word: real, synthetic."""
        return self._codes("source")

    @cached_property
    def ids(self) -> pa.ChunkedArray | None:
        """Text [n], what the data set calls each clip; need not differ."""
        return self._column(ID)

    @cached_property
    def folds(self) -> np.ndarray | None:
        """The part of each clip in cross-validation, int64 [n], -1 for none."""
        return self._numbers("fold")

    @property
    def root(self) -> AnyPath:
        """Where the paths start of all clips that have no other root."""
        return self.roots.folders[0]

    @property
    def unit(self) -> Unit:
        """Of the spans."""
        return "frames" if self._column(BOUNDS["frames"][0]) is not None else "seconds"

    @cached_property
    def starts(self) -> np.ndarray | None:
        """Float64 [n], NaN where open."""
        return self._numbers(BOUNDS[self.unit][0])

    @cached_property
    def ends(self) -> np.ndarray | None:
        """Float64 [n], NaN where open; exclusive."""
        return self._numbers(BOUNDS[self.unit][1])

    @cached_property
    def frame_counts(self) -> np.ndarray | None:
        """Decoded frames of the whole file, int64 [n], -1 where unknown."""
        return self._numbers("num_frames")

    @cached_property
    def rates(self) -> np.ndarray | None:
        """Frames a second, float64 [n], NaN where unknown."""
        return self._numbers("fps")

    def _column(self, name: str) -> pa.ChunkedArray | None:
        """The column, unless it is a head that goes by that name."""
        is_there = name in self.table.column_names and name not in self.classes
        return self.table[name] if is_there else None

    def _codes(self, name: str) -> pa.DictionaryArray | None:
        column = self._column(name)
        return None if column is None else as_codes(column)

    def _numbers(self, name: str) -> np.ndarray | None:
        column = self._column(name)
        return None if column is None else as_array(column)

    # --- one clip -------------------------------------------------------------------------------

    def clip(self, row: int) -> VideoClip:
        """What is needed to open the clip of a row, and what is known of it."""
        return VideoClip(
            row=row,
            text=str(self.paths[row]),
            path=self.path(row),
            span=self.span(row),
            num_frames=self.num_frames(row),
            fps=self.fps(row),
        )

    def path(self, row: int) -> AnyPath:
        """Where the clip lies."""
        return self.roots.of(row) / str(self.paths[row])

    def span(self, row: int) -> Span | None:
        """The part of the file that is the clip; None for all of it."""
        start, end = _number(self.starts, row), _number(self.ends, row)
        return None if start is end is None else Span(start, end, self.unit)

    def num_frames(self, row: int) -> int | None:
        """Frames that decode from the whole file, if the manifest knows."""
        count = -1 if self.frame_counts is None else int(self.frame_counts[row])
        return None if count < 0 else count

    def fps(self, row: int) -> float | None:
        """Frames a second of the file, if the manifest knows."""
        return _number(self.rates, row)

    # --- all clips ------------------------------------------------------------------------------

    def texts(self, rows: np.ndarray | None = None) -> Iterator[str]:
        """The paths as they are written, of `rows` (int64) or of all, a few at a time."""
        column = self.paths if rows is None else self.paths.take(pa.array(rows))
        for chunk in column.chunks:
            for start in range(0, len(chunk), 1 << 16):
                yield from chunk.slice(start, 1 << 16).to_pylist()

    def class_counts(self, head: str = "label") -> np.ndarray:
        """Clips of every class, int64 [k]."""
        if self.has_several(head):
            counts: np.ndarray = self.labels[head].sum(axis=0, dtype=np.int64)
            return counts
        return np.bincount(self.labels[head], minlength=len(self.classes[head]))

    def has_several(self, head: str) -> bool:
        """Whether clips have several classes of `head`."""
        return self.labels[head].ndim == 2

    def split_counts(self) -> dict[str, int]:
        """Clips of every split: train, val, test, others; empty without a split column."""
        if self.splits is None:
            return {}
        counts = np.bincount(self.splits.indices.to_numpy(), minlength=len(self.splits.dictionary))
        named = dict(zip(self.splits.dictionary.to_pylist(), counts.tolist(), strict=True))
        ordered = [*(name for name in SPLITS if name in named), *sorted(named.keys() - set(SPLITS))]
        return {name: named[name] for name in ordered if named[name]}

    def rows_of(self, split: str | None) -> np.ndarray:
        """The rows of one split, int64; all if it is None or the manifest has no split column."""
        if split is None or self.splits is None:
            return np.arange(len(self))
        counts = self.split_counts()
        if split not in counts:
            known = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
            raise ManifestError(f"{self.source}: no rows of split {split!r}", f"it has {known}")
        code = self.splits.dictionary.to_pylist().index(split)
        return np.flatnonzero(self.splits.indices.to_numpy() == code)

    def fold_counts(self) -> dict[int, int]:
        """Clips of every fold, by its number; empty without a fold column."""
        if self.folds is None:
            return {}
        numbers, counts = np.unique(self.folds[self.folds >= 0], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    def duplicates(self) -> dict[int, int]:
        """Rows that give a clip again (path, span, id and root), each with the earlier row."""
        in_a_store = any(isinstance(root, Url) for root in self.roots.folders)  # a//b is not a/b
        paths = self.paths if in_a_store else plain(self.paths)
        return duplicates(paths, [self.roots.codes, self.starts, self.ends, self.ids])

    def digest(self) -> str:
        """Sha256 of what is shown and what must be answered: paths, spans, labels, class names.

        Neither the roots nor splits, groups, ids, rates and frame counts enter: the same test set
        has the same digest on every machine, alone in a file or selected from one.
        """
        if self.mapped is not None and self.mapped.digest:
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
            total.update(np.ascontiguousarray(self.labels[head]).data)
        return total.hexdigest()

    def where(self) -> str:
        """What tells where the clips lie from anywhere else, in one line without secrets."""
        return self.roots.digest()

    # --- other manifests of it ------------------------------------------------------------------

    def select(self, split: str) -> Self:
        """The clips of one split; all if the manifest has no split column."""
        return self if self.splits is None else self.take(self.rows_of(split))

    def with_fold(self, fold: int) -> Self:
        """The same clips with `fold` to validate on and the other folds to train on.

        Clips of no fold keep their split, such as test; without one they are for training.
        ManifestError if no clip is in that fold.
        """
        counts = self.fold_counts()
        if self.folds is None or fold not in counts:
            known = ", ".join(f"{number} ({count:,})" for number, count in counts.items())
            raise ManifestError(
                f"{self.source}: no clips of fold {fold}",
                f"it has {known}"
                if known
                else "`marey data init SOURCE OUT --folds 5` makes folds",
            )
        given = (
            np.full(len(self), "train") if self.splits is None else self.splits.dictionary_decode()
        )
        words = np.where(self.folds < 0, given, np.where(self.folds == fold, "val", "train"))
        return self.with_columns({"split": words})

    def take(self, rows: np.ndarray) -> Self:
        """The rows asked for (int64), in that order; a stretch of a mapped file is not copied."""
        indices = pa.array(np.asarray(rows, dtype=np.int64))
        rows = indices.to_numpy()
        stretch = self.mapped and self.mapped.stretch(rows)
        if stretch:
            own = self.table.drop_columns(list(stretch.names)).take(indices)
            table = beside(stretch.table, own)
        else:
            table = self.table.take(indices)
        return replace(
            self,
            roots=self.roots.take(rows),
            table=table,
            features=self.features and self.features.take(rows),
            mapped=stretch,
            is_as_read=False,
        )

    def with_columns(
        self,
        columns: Mapping[str, Values | None],
        classes: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Self:
        """The same clips with other columns, as `from_columns` takes them; None takes one away.

        classes: of heads among the columns, and new class names of other heads.
        """
        kept = [name for name in self.table.column_names if name not in columns]
        gone = [name for name, values in columns.items() if values is None]
        known = self.classes | dict(classes or {})
        return replace(
            self,
            table=beside(self.table.select(kept), as_table(columns, known)),
            classes={head: names for head, names in known.items() if head not in gone},
            mapped=self.mapped and self.mapped.without(columns),
        )

    def with_classes(self, classes: Mapping[str, tuple[str, ...]]) -> Self:
        """The same labels by other class names, of the heads that are given."""
        return self.with_columns({}, classes)

    def without(self, *names: str) -> Self:
        """The same without the columns of these names."""
        return self.with_columns(dict.fromkeys(names))

    def with_several(self, heads: Iterable[str]) -> Self:
        """The same, with labels bool [n k] of these heads also if no clip has two classes."""
        hot = {
            head: self.labels[head][:, None] == np.arange(len(self.classes[head]))
            for head in heads
            if head in self.labels and not self.has_several(head)
        }
        return self.with_columns(hot) if hot else self

    def with_feature_files(self) -> Self:
        """The same with the features that its paths lead to, if they do and it has no others."""
        if self.features is not None or not holds_features(str(self.paths[0])):
            return self
        if self.roots.codes is not None or isinstance(self.root, Url):
            raise ManifestError(
                f"{self.source} names files of features in stores or several places",
                "pack them where they lie: `marey data pack`",
            )
        return replace(self, features=FeatureFiles(self.root, self.paths))

    def below(self, root: AnyPath) -> Self:
        """The same clips where paths start at `root`."""
        return replace(self, roots=Roots((root,)))

    # --- other processes ------------------------------------------------------------------------

    # A loader worker that is forked has all columns already, in the pages of its parent. One that
    # is spawned gets this manifest pickled: gigabytes, if the columns of a mapped file went along.
    # So only the file's name and the stretch of rows go (in `mapped`), with the columns that are
    # not the file's, and the worker maps the file again. What is cached stays behind likewise.

    def __getstate__(self) -> dict[str, Any]:
        state = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.mapped is not None:
            state["table"] = self.table.drop_columns(list(self.mapped.names))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        mapped: MappedRows | None = state["mapped"]
        if mapped is not None:
            state = state | {"table": beside(mapped.table, state["table"])}
        vars(self).update(state)


def _number(column: np.ndarray | None, row: int) -> float | None:
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
    """Of `Manifest.digest` and of its properties of these names, as far as they are there."""
    columns = {n: getattr(manifest, n) for n in names if getattr(manifest, n) is not None}
    facts = {"clips": manifest.digest(), "columns": list(columns)}
    return input_digest(facts | {"values": table_digest(pa.table(columns))})
