"""What happens in each of many clips, without labels: predictions.parquet, made in parts.

A row a clip, in the order of the source, whether it could be read or not. In a file of a model of
one head, `label`, the columns are

| column          | what                                                                      |
|-----------------|---------------------------------------------------------------------------|
| `id`            | the row in the source, from 0                                             |
| `path`          | where the clip lies                                                       |
| `start`, `end`  | the part of the file that is the clip; null where it is open              |
| `source`        | where it comes from, if a manifest says so                                |
| `clip_id`       | what its data set calls it, the column `id` of a manifest that has one    |
| `scores`        | float32 of every class: the mean of the views, as in `marey eval`         |
| `names`         | the most probable classes, best first                                     |
| `probabilities` | theirs, float32, as `marey predict` says them                             |
| `error`         | why the clip could not be read; then the three above are null             |

and of other heads `scores.HEAD` and so on. The metadata of the file has, as JSON under ``marey``,
the class names of the scores, what is averaged over views, and the unit of start and end.

A clip is scored on the test views of the recipe, as `Predictor.predict` does. A part is a row group
of the file, and joining holds one part in memory at a time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from marey.data.manifest.location import Location
from marey.data.manifest.manifest import digest_with
from marey.data.own_videos.unlabelled import read_clips
from marey.engine.inference.evaluate_run import PART_SECONDS
from marey.engine.inference.predict import probabilities
from marey.engine.inference.predictions import prediction_table, scores_column
from marey.engine.inference.scored_parts import Tested
from marey.engine.weights.trained import load_trained
from marey.errors import ManifestError, RunError
from marey.jobs.executors import HERE, Executor, Here
from marey.jobs.parts import WHOLE, Parts, Progress, Shard, make_parts
from marey.recipes.compatible import check_clips
from marey.recipes.recipe import Recipe
from marey.storage.atomic import replacing, run_error

ERROR = "error"
"""The column that says why a clip could not be read."""


@dataclass(frozen=True)
class Predictions:
    """What many predictions came to."""

    path: Path
    num_clips: int
    num_missing: int
    """Clips that could not be read; the column `error` says why."""


@dataclass(frozen=True)
class Asked:
    """What is asked of which clips, in words that mean the same on every machine."""

    model: Path
    """The folder of a run or of a release."""
    source: str
    """As `marey.data.own_videos.unlabelled.read_clips` takes it."""
    top: int = 5
    """Class names a clip."""
    split: str | None = None
    root: str | None = None
    workers: int | None = None
    batch_size: int | None = None
    device: str = "cpu"


def predict_clips(
    asked: Asked,
    out: Path,
    *,
    executor: Executor = HERE,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
) -> Predictions | None:
    """Write what the model says of every clip to the file `out`, NAME.parquet.

    None if other shards have clips to score yet. ManifestError if there are no clips, or not what
    the model takes; a clip that cannot be read costs that clip only.
    """
    if out.suffix.lower() != ".parquet":
        raise RunError(f"{out} is no name of a file of predictions", "call it NAME.parquet")
    local = isinstance(executor, Here)
    predicted = _predicted(asked if local else replace(asked, device="cpu"))
    check_clips(predicted.tested.trained.model.spec, predicted.tested.manifest)
    made = make_parts(
        predicted.parts(out),
        partial(predicted.write, progress=progress)
        if local
        else partial(_write, asked, predicted.tested.recipe, predicted.digest),
        partial(_join, out),
        executor=executor,
        shard=shard,
        timeout_seconds=PART_SECONDS,
        progress=None if local else progress,  # locally each batch tells it
    )
    return _summary(out) if made else None


@dataclass(frozen=True, eq=False)
class _Predicted:
    """A trained model and the clips it is asked about."""

    tested: Tested
    top: int

    @cached_property
    def digest(self) -> str:
        """Of the clips, sources and ids: a folder may have gained some since it was looked at."""
        return digest_with(self.tested.manifest, "sources", "ids")

    def parts(self, out: Path) -> Parts:
        classes = json.dumps(self.tested.trained.classes)
        return self.tested.parts(
            out, kind="predictions", rows=self.digest, top=str(self.top), classes=classes
        )

    def write(self, rows: range, file: BinaryIO, *, progress: Progress | None = None) -> None:
        """Write the rows of these clips as an Arrow file."""
        found, missing = self.tested.scores(rows, progress=progress)
        ids = np.arange(rows.start, rows.stop)
        table = prediction_table(self.tested.manifest.take(ids), found, ids)
        unread = np.array([place in missing for place in range(len(rows))])
        for head, scores in found.items():
            name = scores_column(head)
            place = table.column_names.index(name)
            table = table.set_column(place, name, _lists(scores, unread))
            for column, values in self._answers(head, scores, unread).items():
                table = table.append_column(column + name.removeprefix("scores"), values)
        reasons = pa.array([missing.get(place) for place in range(len(rows))], pa.string())
        table = table.append_column(ERROR, reasons).replace_schema_metadata(self._about())
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table.combine_chunks())

    def _answers(self, head: str, scores: np.ndarray, unread: np.ndarray) -> dict[str, pa.Array]:
        """The most probable classes [n top] by name, and their probabilities."""
        names = np.array(self.tested.trained.classes[head], dtype=object)
        values = probabilities(self.tested.trained.recipe, head, torch.from_numpy(scores))
        best = values.topk(min(self.top, len(names)))
        return {
            "names": _lists(names[best.indices.numpy()], unread, pa.string()),
            "probabilities": _lists(best.values.numpy(), unread),
        }

    def _about(self) -> dict[str, str]:
        facts = {
            "recipe": self.tested.recipe.name,
            "average": self.tested.recipe.test.average,
            "classes": self.tested.trained.classes,
            "span_unit": self.tested.manifest.unit,
        }
        return {"marey": json.dumps(facts)}


def _predicted(asked: Asked) -> _Predicted:
    trained = load_trained(asked.model, asked.device)
    recipe = replace(trained.recipe, amp=False)  # as Predictor, whatever it was trained with
    tested = Tested(
        trained,
        recipe,
        read_clips(asked.source, split=asked.split, at=Location(asked.root, urls=recipe.data.urls)),
        workers=recipe.data.workers if asked.workers is None else asked.workers,
        batch_size=asked.batch_size or recipe.batch_size,
        device=asked.device,
    )
    return _Predicted(tested, asked.top)


def _write(asked: Asked, _: Recipe, digest: str, rows: range, file: BinaryIO) -> None:
    """The recipe comes along for its classes: unpickling it has imported the user's own."""
    predicted = _kept(asked)
    if predicted.digest != digest:
        raise ManifestError(f"the clips of {asked.source} changed meanwhile", "start again")
    predicted.write(rows, file)


_kept = lru_cache(maxsize=1)(_predicted)
"""The model is loaded once in a process that works for another."""


def _lists(values: np.ndarray, unread: np.ndarray, kind: pa.DataType | None = None) -> pa.Array:
    """The rows of [n k] as lists, null where a clip could not be read."""
    return pa.FixedSizeListArray.from_arrays(
        pa.array(values.ravel(), kind), values.shape[1], mask=pa.array(unread)
    )


def _join(out: Path, paths: Sequence[Path]) -> None:
    """One row group a part."""
    with replacing(out, run_error) as file:
        with pa.ipc.open_file(pa.memory_map(str(paths[0]))) as first:
            schema = first.schema
        with pq.ParquetWriter(file, schema) as writer:
            for path in paths:
                with pa.memory_map(str(path)) as source:
                    writer.write_table(pa.ipc.open_file(source).read_all())


def _summary(out: Path) -> Predictions:
    errors = pq.read_table(out, columns=[ERROR])[ERROR]
    return Predictions(out, len(errors), len(errors) - errors.null_count)
