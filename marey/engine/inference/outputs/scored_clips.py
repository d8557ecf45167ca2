"""Clips with the scores of a model, as `marey predict` and `marey eval` write and join them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from marey.data.lists.listing import video_name, without_suffix
from marey.engine.inference.probabilities import probabilities
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import MissingClip, read_results
from marey.errors import RunError
from marey.metrics.catalog import Scores
from marey.storage.arrow_files import read_parquet

ABOUT = b"marey"
"""The metadata of a table of predictions that says of what model they are, as JSON."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Said:
    """What a table of predictions says of all its clips."""

    classes: Mapping[str, Sequence[str]]
    """Head -> class names."""
    average: Literal["logits", "probs"]
    several: Sequence[str] = ()
    """Heads by which a clip may have several classes: their scores are logits of each."""
    root: str = ""
    """Where the paths start of the list that was predicted for; "" if unknown."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredClips:
    """Clips in the order of their list; row i of every field is clip i."""

    source: Path
    """For messages."""
    said: Said
    rows: Sequence[int]
    """In the list."""
    paths: Sequence[str]
    clip_ids: Sequence[str | None]
    """What the list calls them; None where it does not."""
    spans: Sequence[tuple[float | None, float | None]]
    scores: Mapping[str, Scores]
    """Head -> float32 [n k], NaN for a clip that could not be read."""
    errors: Sequence[str | None]
    """Why a clip could not be read."""
    labels: Mapping[str, Sequence[object]] = field(default_factory=dict)
    """Head -> the class, or list of classes, of each clip, if the list says it."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """What each clip is called: its id, or the name of its file without a suffix."""
        pairs = zip(self.clip_ids, self.paths, strict=True)
        return [video_name(path) if name is None else name for name, path in pairs]

    @property
    def listed_paths(self) -> list[str]:
        """The path of each clip from the root of its list, without the suffix of a video."""
        prefix = f"{self.said.root.rstrip('/')}/" if self.said.root else ""
        return [without_suffix(path.removeprefix(prefix)) for path in self.paths]

    @property
    def missing(self) -> list[int]:
        """The rows of clips that could not be read."""
        return [row for row, error in enumerate(self.errors) if error is not None]

    def probabilities(self, head: str) -> np.ndarray:
        """What the scores of a head mean, float64 [n k]: shares of 1, or of `several` chances."""
        scores = torch.from_numpy(self.scores[head]).double()
        several = head in self.said.several
        return np.asarray(probabilities(scores, average=self.said.average, several=several))

    def with_equal_scores(self) -> ScoredClips:
        """The same, where clips that could not be read have the same score for every class."""
        scores = {head: values.copy() for head, values in self.scores.items()}
        for values in scores.values():
            values[self.missing] = 1 / values.shape[1]
        return replace(self, scores=scores)


def scored_clips(source: Path, table: pa.Table, said: Said) -> ScoredClips:
    """The clips of a table that `predictions.prediction_table` made, maybe with errors."""
    cells = {name: table[name].to_pylist() for name in _CELLS if name in table.column_names}
    none: list[Any] = [None] * len(table)
    heads = [name for name in said.classes if _column(name) in table.column_names]
    starts, ends = cells.get("start", none), cells.get("end", none)
    return ScoredClips(
        source=source,
        said=said,
        rows=cells["id"],
        paths=cells["path"],
        clip_ids=[name or None for name in cells.get("clip_id", none)],
        spans=list(zip(starts, ends, strict=True)),
        scores={head: _matrix(table[_column(head)], len(said.classes[head])) for head in heads},
        errors=cells.get("error", none),
        labels={head: table[head].to_pylist() for head in heads if head in table.column_names},
    )


def read_scored_clips(path: Path) -> ScoredClips:
    """The clips of a file of `marey predict`, or of `marey eval` with the results.json beside it.

    RunError if it is neither.
    """
    table = read_parquet(path, None, RunError, "predict again")
    about = (table.schema.metadata or {}).get(ABOUT)
    if about is not None:
        facts = json.loads(about)
        names = ("classes", "average", "several", "root")
        said = Said(**{name: facts[name] for name in names if name in facts})
        return _checked(path, table, said)
    beside = path.with_name(RESULTS)
    if not beside.is_file():
        raise RunError(
            f"{path} does not say the classes of its scores, nor is there a {RESULTS} beside it",
            "give the predictions.parquet of marey predict, or of a folder of marey eval",
        )
    results = read_results(beside)
    several = results.several
    if several is None:  # lists of labels tell
        lists = {field.name for field in table.schema if pa.types.is_nested(field.type)}
        several = tuple(lists & results.classes.keys())
    said = Said(
        classes=results.classes,
        average=results.average,
        several=several,
        root=results.root or "",
    )
    clips = _checked(path, table, said)
    if len(clips) + len(results.missing) != results.num_clips:
        raise RunError(f"{path} is not of the {RESULTS} beside it", "evaluate again")
    return _with_missing(clips, results.missing)


def joined(parts: Iterable[ScoredClips]) -> ScoredClips:
    """The clips of several parts, one after the other."""
    several = list(parts)
    first = several[0]
    return replace(
        first,
        rows=[row for part in several for row in part.rows],
        paths=[path for part in several for path in part.paths],
        clip_ids=[name for part in several for name in part.clip_ids],
        spans=[span for part in several for span in part.spans],
        scores={head: np.concatenate([p.scores[head] for p in several]) for head in first.scores},
        errors=[error for part in several for error in part.errors],
        labels={head: [x for p in several for x in p.labels[head]] for head in first.labels},
    )


_CELLS = ("id", "path", "clip_id", "start", "end", "error")


def _column(head: str) -> str:
    return "scores" if head == "label" else f"scores.{head}"


def _matrix(column: pa.ChunkedArray, num_classes: int) -> Scores:
    """Scores float32 [n k] of lists, NaN where there is none."""
    there = pc.is_valid(column).to_numpy()
    scores = np.full((len(column), num_classes), np.nan, np.float32)
    scores[there] = pc.list_flatten(column.drop_null()).to_numpy().reshape(-1, num_classes)
    return scores


def _checked(path: Path, table: pa.Table, said: Said) -> ScoredClips:
    """The clips of a file that may hold something else; RunError then."""
    try:
        clips = scored_clips(path, table, said)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise RunError(f"{path} is no file of predictions: {error}", "predict again") from error
    if not clips.scores or not len(clips):
        raise RunError(f"{path} holds no scores", "predict again")
    return clips


def _with_missing(clips: ScoredClips, missing: Sequence[MissingClip]) -> ScoredClips:
    """The clips that an evaluation read and those it could not, in the order of their list."""
    if not missing:
        return clips
    lost = replace(
        clips,
        rows=[-1 if clip.row is None else clip.row for clip in missing],
        paths=[clip.path for clip in missing],
        clip_ids=[clip.clip_id for clip in missing],
        spans=[(clip.start, clip.end) for clip in missing],
        scores={h: np.full((len(missing), s.shape[1]), np.nan) for h, s in clips.scores.items()},
        errors=[clip.reason or "could not be read" for clip in missing],
        labels={head: [clip.labels.get(head) for clip in missing] for head in clips.labels},
    )
    return joined([clips, lost])
