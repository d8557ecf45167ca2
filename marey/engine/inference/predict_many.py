"""What happens in each of many clips: predictions.parquet or another file, made in parts.

A row a clip, in the order of the source, whether it could be read or not. In a file of a model of
one head, `label`, the columns are

| column          | what                                                                      |
|-----------------|---------------------------------------------------------------------------|
| `id`            | the row in the source, from 0                                             |
| `path`          | where the clip lies                                                       |
| `start`, `end`  | the part of the file that is the clip; null where it is open              |
| `source`        | where it comes from, if a manifest says so                                |
| `clip_id`       | what its data set calls it, the column `id` of a manifest that has one    |
| `label`         | its class as the list says it, if that is one of the model's              |
| `scores`        | float32 of every class: the mean of the views, as in `marey eval`         |
| `names`         | the most probable classes, best first                                     |
| `probabilities` | theirs, float32, as `marey predict` says them                             |
| `error`         | why the clip could not be read; then the three above are null             |

and of other heads `scores.HEAD` and so on. The metadata of the file has, as JSON under ``marey``,
the class names of the scores, what is averaged over views, the unit of start and end, what the list
was read as, and the temperature where predictions are calibrated. Other files are written from the
same parts, by `outputs.forms`.

A clip is scored on the test views of the recipe, as `Predictor.predict` does. A part is a row group
of the file, and joining holds one part in memory at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import torch

from marey.data.lists.wanted_columns import WantedColumns
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import digest_with
from marey.data.own_videos.unlabelled import Clips, read_clips
from marey.engine.inference.calibrate import calibrated_arrays
from marey.engine.inference.jobs import ClipJob, Options, load_for, run
from marey.engine.inference.outputs.forms import (
    OutputOptions,
    check_classes,
    form_of,
    refuse_own_input,
    write_output,
)
from marey.engine.inference.outputs.scored_clips import Said, scored_clips
from marey.engine.inference.predict import probabilities_of_head
from marey.engine.inference.predictions import prediction_table, scores_column
from marey.engine.runtimes.graph_files import Runtime
from marey.engine.runtimes.usable import open_model
from marey.engine.weights.calibration import Calibration
from marey.jobs.executors import HERE, Executor
from marey.jobs.parts import Progress
from marey.jobs.shards import WHOLE, Shard
from marey.jobs.tables import read_tables, write_table
from marey.recipes.compatible import check_clips
from marey.recipes.testing import for_test
from marey.storage.arrow_files import parquet_writer
from marey.storage.atomic import replacing, run_error
from marey.terminal import visible

ERROR = "error"
"""The column that says why a clip could not be read."""


@dataclass(frozen=True)
class Predictions:
    """What many predictions came to."""

    path: Path
    num_clips: int
    num_missing: int | None
    """Clips that could not be read; the column `error` says why. None if another has counted."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions(Options["PredictionJob"]):
    """What is predicted, by which model."""

    model: Path
    """The folder of a run or of a release."""
    source: str | tuple[str, ...]
    """As `marey.data.own_videos.unlabelled.read_clips` takes it."""
    top: int = 5
    """Class names a clip."""
    segments: int | None = None
    """Of a clip; by default as many as the test views of the model's recipe have."""
    columns: str | None = None
    """What a person says of the columns or lines of a list, as `WantedColumns.parse` takes it."""
    ignore: str | None = None
    """Columns to leave."""
    split: str | None = None
    root: str | None = None
    calibrated: bool = False
    """Whether logits are divided by the temperatures of the model's calibration.json."""
    runtime: Runtime | None = None
    """What scores in place of torch's own weights."""
    trusted: bool = False
    """Whether who made the model may run code here (`open_model`)."""

    def load(self, device: str) -> PredictionJob:
        """The model and the clips; ManifestError unless the clips are what it takes."""
        model = open_model(self.model, device, trusted=self.trusted)
        trained = model.trained
        at = Location(self.root, urls=trained.recipe.data.urls)
        wanted = WantedColumns.parse(self.columns, self.ignore)
        clips = read_clips(
            self.source, wanted=wanted, split=self.split, at=at, classes=trained.classes
        )
        model = model.for_clips(clips.manifest)
        tested = for_test(model.trained.recipe, segments=self.segments)
        recipe = replace(tested, amp=False)  # as Predictor, whatever it was trained with
        model = model.tested_by(recipe, self.runtime)
        trained = model.trained
        check_clips(trained.model.spec, clips.manifest, trained.recipe)
        return PredictionJob(
            calibration=model.calibration() if self.calibrated else None,
            exported=model.exported,
            classes=trained.classes,
            top=self.top,
            model=trained.model,
            recipe=recipe,
            manifest=clips.manifest,
            read=clips,
            workers=self.workers,
            batch_size=self.batch_size,
            device=device,
            folder=trained.folder,
        )


def predict_clips(
    options: PredictOptions,
    out: Path,
    *,
    executor: Executor = HERE,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
    output: OutputOptions | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Predictions | None:
    """Write what the model says of every clip to the file `out`.

    None if other shards have clips to score yet. A clip that cannot be read costs that clip only.

    Args:
        executor: whose processes score.
        shard: the share of the clips to score.
        progress: called with clips (done, total).
        output: what the file is to be; by default what its suffix says.
        overwrite: whether a file `out` may be replaced.
        say: called with what the clips were read as.

    Raises:
        ManifestError: if there are no clips, or not what the model takes.
        RunError: if it is unclear what `out` is to be, the model cannot answer so, or it is there
            already or cannot be written; of a submission that lacks clips what is scored is kept
            for the next time.
    """
    made: list[Predictions] = []
    wanted = output or OutputOptions(form=form_of(out, None))
    source = options.source
    refuse_own_input(out, *([source] if isinstance(source, str) else source))
    job = load_for(options, executor)
    check_classes(wanted, job.classes, job.several)
    for line in job.read.lines():
        say(line)
    if job.calibration:
        say(f"calibrated: {job.calibration.in_words()}")

    def join(paths: Sequence[Path]) -> None:
        if wanted.form == "parquet":
            _join(out, paths)
        else:
            parts = (scored_clips(out, table, job.said) for table in read_tables(paths))
            write_output(wanted, parts, out, say)
        made.append(_summary(out, paths))

    parts = replace(job.parts(out, **_beside_clips(wanted)), overwrite=overwrite)
    done = run(job, options, parts, join, executor=executor, shard=shard, progress=progress)
    if done and not made:  # another shard has written it
        made.append(Predictions(out, len(job.manifest), None))
    return made[0] if done else None


def _beside_clips(wanted: OutputOptions) -> dict[str, str]:
    """What only the joined file depends on; not what is allowed, so that scores outlive a no."""
    if wanted.form == "parquet":
        return {}
    facts = {"form": wanted.form, "all_scores": wanted.all_scores, "sls": wanted.sls}
    return {name: str(value) for name, value in facts.items()}


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictionJob(ClipJob):
    """The most probable classes of clips, and the scores of all."""

    classes: Mapping[str, tuple[str, ...]]
    top: int
    read: Clips
    """The clips, and what they were read as."""
    calibration: Calibration | None = None
    """Whose temperatures the logits are divided by."""

    @property
    def several(self) -> list[str]:
        """The heads by which a clip may have several classes."""
        return sorted(self.model.spec.several)

    @property
    def said(self) -> Said:
        """What is said of all clips."""
        return Said(
            classes=self.classes,
            average=self.recipe.test.average,
            several=self.several,
            root=visible(str(self.manifest.root)),
        )

    def facts(self) -> Mapping[str, object]:
        """The clips with their sources and ids, the weights, and what is said of a clip."""
        return {
            "kind": "predictions",
            "rows": digest_with(self.manifest, "sources", "ids"),
            "weights": self.weights,
            "top": self.top,
            "classes": self.classes,
            **({"temperatures": self.calibration.temperatures} if self.calibration else {}),
        }

    def write(self, rows: range, file: BinaryIO, *, progress: Progress | None = None) -> None:
        """Write the rows of these clips as an Arrow file."""
        raw, missing = self.scores(rows, progress=progress)
        scores = calibrated_arrays(raw, self.calibration, self.recipe.test.average)
        ids = np.arange(rows.start, rows.stop)
        table = prediction_table(self.clips(rows), scores, ids)
        unread = np.isin(ids - rows.start, list(missing))
        for head, values in scores.items():
            name = scores_column(head)
            position = table.column_names.index(name)
            table = table.set_column(position, name, _lists(values, unread))
            for column, answers in self._answers(head, values, unread).items():
                table = table.append_column(column + name.removeprefix("scores"), answers)
        reasons = pa.array([missing.get(row) for row in range(len(rows))], pa.string())
        table = table.append_column(ERROR, reasons).replace_schema_metadata(self._about())
        write_table(table.combine_chunks(), file)

    def _answers(self, head: str, scores: np.ndarray, unread: np.ndarray) -> dict[str, pa.Array]:
        """The most probable classes [n top] by name, and their probabilities."""
        names = np.array(self.classes[head], dtype=object)
        values = probabilities_of_head(self.recipe, head, torch.from_numpy(scores))
        best = values.topk(min(self.top, len(names)))
        return {
            "names": _lists(names[best.indices.numpy()], unread, pa.string()),
            "probabilities": _lists(best.values.numpy(), unread),
        }

    def _about(self) -> dict[str, str]:
        facts = {
            "recipe": self.recipe.name,
            **asdict(self.said),
            "span_unit": self.manifest.unit,
            **({"calibrated": self.calibration.in_words()} if self.calibration else {}),
            **self.read.facts,
        }
        return {"marey": json.dumps(facts)}


def _lists(values: np.ndarray, unread: np.ndarray, kind: pa.DataType | None = None) -> pa.Array:
    """The rows of [n k] as lists, null where a clip could not be read."""
    return pa.FixedSizeListArray.from_arrays(
        pa.array(values.ravel(), kind), values.shape[1], mask=pa.array(unread)
    )


def _join(out: Path, paths: Sequence[Path]) -> None:
    """One row group a part."""
    (first,) = read_tables(paths[:1])
    with replacing(out, run_error) as file, parquet_writer(file, first.schema) as writer:
        for table in read_tables(paths):
            writer.write_table(table)


def _summary(out: Path, paths: Sequence[Path]) -> Predictions:
    errors = pa.chunked_array([table[ERROR].combine_chunks() for table in read_tables(paths)])
    return Predictions(out, len(errors), len(errors) - errors.null_count)
