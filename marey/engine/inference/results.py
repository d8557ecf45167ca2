"""What an evaluation writes: results.json and the predictions of every clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.engine.environment import decoder, environment
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.predictions import prediction_table
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import MissingClip, Results, ViewCounts
from marey.metrics.intervals import Estimate
from marey.models.profile import cost, num_parameters
from marey.models.video_model import VideoModel
from marey.recipes.describe import model_in_words
from marey.recipes.protocols import protocol_of
from marey.recipes.recipe import Recipe
from marey.recipes.testing import segments_in_words
from marey.storage.arrow_files import write_parquet
from marey.storage.atomic import replacing, run_error, writing
from marey.terminal import visible


def write_results(evaluation: Evaluation, folder: Path, results: Results) -> Path:
    """Write predictions.parquet and results.json into `folder`; returns the latter."""
    read = evaluation.readable
    with replacing(folder / "predictions.parquet", run_error) as file:
        write_parquet(prediction_table(read.manifest, read.scores, evaluation.readable_rows), file)
        with writing(folder / RESULTS, run_error):  # else new predictions, old numbers after a kill
            (folder / RESULTS).unlink(missing_ok=True)
    return results.write(folder)


def results_of(evaluation: Evaluation, model: VideoModel, recipe: Recipe) -> Results:
    """What results.json says of one model; `recipe` is the one that was tested by."""
    views = recipe.test.sampling.clips * recipe.test.crop.views
    gmacs = cost(recipe.tested_model, recipe.test.crop.size).gmacs
    return replace(
        results_of_clips(evaluation),
        protocol=protocol_of(recipe) or None,
        views=view_counts(recipe),
        other_segments=segments_in_words(recipe),
        model=model_in_words(recipe.model),
        parameters=num_parameters(model),
        gmacs_per_view=round(gmacs, 4),
        gmacs_total=round(gmacs * views, 4),
        decoder=decoder(recipe.data.backend),
    )


def view_counts(recipe: Recipe) -> ViewCounts:
    """Clips, crops, frames, size and segments of its test views."""
    sampling, crop, tested = recipe.test.sampling, recipe.test.crop, recipe.tested_model
    segments = None if tested.takes_features else tested.num_segments
    return ViewCounts(sampling.clips, crop.views, sampling.frames or "all", crop.size, segments)


def results_of_clips(evaluation: Evaluation) -> Results:
    """What results.json says of the clips and their scores, whosever they are."""
    manifest = evaluation.manifest
    groups = {head: evaluation.trained_on.class_groups(head) for head in evaluation.scores}
    return Results(
        metrics=rounded(evaluation.metrics),
        metrics_readable=rounded(evaluation.readable.metrics),
        metrics_by_source={
            source: rounded(part.metrics) | {"num_clips": len(part.manifest)}
            for source, part in evaluation.by_source.items()
        },
        estimates={
            head: {key: _rounded_estimate(estimate) for key, estimate in of.items()}
            for head, of in evaluation.estimates.items()
        },
        groups={head: of for head, of in groups.items() if of is not None},
        subsets={
            name: {head: int(clips.sum()) for head, clips in of.items()}
            for name, of in evaluation.subsets.items()
        },
        num_clips=len(manifest),
        num_missing=len(evaluation.missing),
        average=evaluation.average,
        several=None if evaluation.several is None else tuple(sorted(evaluation.several)),
        versions=environment(),
        manifest=str(manifest.source),
        root=str(manifest.root) if manifest.roots.codes is None else None,
        data_hash=manifest.digest(),
        span_unit=manifest.unit,
        classes=dict(manifest.classes),
        missing=tuple(
            _missing_clip(manifest, row, reason)
            for row, reason in sorted(evaluation.missing.items())
        ),
    )


def _missing_clip(manifest: Manifest, row: int, reason: str) -> MissingClip:
    span = manifest.span(row)
    return MissingClip(
        row,
        visible(str(manifest.path(row))),
        reason,
        start=span.start if span else None,
        end=span.end if span else None,
        source=str(manifest.sources[row]) if manifest.sources is not None else None,
        clip_id=str(manifest.ids[row]) if manifest.ids is not None else None,
        labels={head: classes_of(labels[row]) for head, labels in manifest.labels.items()},
    )


def classes_of(label: np.ndarray) -> tuple[int, ...]:
    """The classes of a clip, whose label is a number or, of several classes, bool [k]."""
    return tuple(np.flatnonzero(label).tolist()) if label.ndim else (int(label),)


def rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    """The numbers as results.json has them."""
    return {key: round(value, 4) for key, value in metrics.items()}


def _rounded_estimate(estimate: Estimate) -> Estimate:
    value, low, high = (round(each, 4) for each in (estimate.value, *estimate.interval))
    return Estimate(value, low, high, estimate.num_classes, estimate.num_clips)
