"""What an evaluation writes: results.json and the predictions of every clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from marey.engine.environment import decoder, environment
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.predictions import prediction_table
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import MissingClip, Results, ViewCounts
from marey.metrics.longtail import Estimate
from marey.models.profile import gmacs, num_parameters
from marey.models.video_model import VideoModel
from marey.recipes.protocols import protocol_of
from marey.recipes.recipe import Recipe
from marey.storage.arrow_files import write_parquet
from marey.storage.atomic import replacing, run_error, writing


def write_results(evaluation: Evaluation, folder: Path, model: VideoModel, recipe: Recipe) -> Path:
    """Write predictions.parquet and results.json into `folder`; returns the latter."""
    read = evaluation.readable
    with replacing(folder / "predictions.parquet", run_error) as file:
        write_parquet(prediction_table(read.manifest, read.scores, evaluation.readable_rows), file)
        with writing(folder / RESULTS, run_error):  # else new predictions, old numbers after a kill
            (folder / RESULTS).unlink(missing_ok=True)
    return results_of(evaluation, model, recipe).write(folder)


def results_of(evaluation: Evaluation, model: VideoModel, recipe: Recipe) -> Results:
    """What results.json says; `recipe` is the one that was tested by."""
    manifest, views = evaluation.manifest, recipe.test
    clips, crops, size = views.sampling.clips, views.crop.views, views.crop.size
    cost = gmacs(model, size)
    groups = {head: evaluation.trained_on.class_groups(head) for head in evaluation.scores}
    return Results(
        metrics=_rounded(evaluation.metrics),
        metrics_readable=_rounded(evaluation.readable.metrics),
        metrics_by_source={
            source: _rounded(part.metrics) | {"num_clips": len(part.manifest)}
            for source, part in evaluation.by_source.items()
        },
        estimates={
            head: {key: _rounded_estimate(estimate) for key, estimate in of.items()}
            for head, of in evaluation.estimates.items()
        },
        groups={head: of for head, of in groups.items() if of is not None},
        num_clips=len(manifest),
        num_missing=len(evaluation.missing),
        average=evaluation.average,
        protocol=protocol_of(recipe) or None,
        views=ViewCounts(clips, crops, views.sampling.frames or "all", size),
        parameters=num_parameters(model),
        gmacs_per_view=round(cost, 4),
        gmacs_total=round(cost * clips * crops, 4),
        decoder=decoder(recipe.data.backend),
        versions=environment(),
        manifest=str(manifest.source),
        data_hash=manifest.digest(),
        span_unit=manifest.unit,
        classes=dict(manifest.classes),
        missing=tuple(
            MissingClip(row, str(manifest.path(row)), reason)
            for row, reason in sorted(evaluation.missing.items())
        ),
    )


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 4) for key, value in metrics.items()}


def _rounded_estimate(estimate: Estimate) -> Estimate:
    value, low, high = (round(each, 4) for each in (estimate.value, *estimate.interval))
    return Estimate(value, low, high, estimate.num_classes, estimate.num_clips)
