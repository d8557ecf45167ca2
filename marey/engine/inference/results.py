"""What an evaluation writes: results.json and the predictions of every clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from marey.engine.environment import decoder, environment
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.predictions import prediction_table
from marey.metrics.longtail import Estimate
from marey.models.profile import gmacs, num_parameters
from marey.models.video_model import VideoModel
from marey.recipes.protocols import protocol_of
from marey.recipes.recipe import Recipe
from marey.storage.atomic import replacing, run_error, write_text


def write_results(evaluation: Evaluation, folder: Path, model: VideoModel, recipe: Recipe) -> Path:
    """Write predictions.parquet and results.json into `folder`; returns the latter."""
    read = evaluation.readable
    with replacing(folder / "predictions.parquet", run_error) as file:
        pq.write_table(prediction_table(read.manifest, read.scores, evaluation.readable_rows), file)
    facts = about(evaluation, model, recipe)
    write_text(folder / "results.json", json.dumps(facts, indent=1, allow_nan=False), run_error)
    return folder / "results.json"


def about(evaluation: Evaluation, model: VideoModel, recipe: Recipe) -> dict[str, Any]:
    """What results.json says; `recipe` is the one that was tested by."""
    manifest, views = evaluation.manifest, recipe.test
    num_views = views.sampling.clips * views.crop.views
    cost = gmacs(model, views.crop.size)
    missing = [
        {"row": row, "path": str(manifest.path(row)), "reason": reason}
        for row, reason in sorted(evaluation.missing.items())
    ]
    return {
        "metrics": _rounded(evaluation.metrics),
        "metrics_readable": _rounded(evaluation.readable.metrics),
        "metrics_by_source": {
            source: _rounded(found.metrics) | {"num_clips": len(found.manifest)}
            for source, found in evaluation.by_source.items()
        },
        "estimates": {
            head: {name: _estimate_facts(found) for name, found in of.items()}
            for head, of in evaluation.estimates.items()
        },
        "groups": {head: evaluation.trained_on.facts(head) for head in evaluation.scores},
        "num_clips": len(manifest),
        "num_missing": len(missing),
        "average": evaluation.average,
        "protocol": protocol_of(recipe) or None,
        "views": {
            "clips": views.sampling.clips,
            "crops": views.crop.views,
            "frames": views.sampling.frames or "all",
            "size": views.crop.size,
        },
        "parameters": num_parameters(model),
        "gmacs_per_view": round(cost, 4),
        "gmacs_total": round(cost * num_views, 4),
        "decoder": decoder(recipe.data.backend),
        "versions": environment(),
        "manifest": str(manifest.source),
        "data_hash": manifest.digest(),
        "span_unit": manifest.unit,
        "classes": {head: list(names) for head, names in manifest.classes.items()},
        "missing": missing,
    }


def _rounded(metrics: dict[str, float]) -> dict[str, float | None]:
    return {key: round(v, 4) if np.isfinite(v) else None for key, v in metrics.items()}


def _estimate_facts(found: Estimate) -> dict[str, float | int | None]:
    numbers = {"value": found.value, "low": found.interval.low, "high": found.interval.high}
    return {**_rounded(numbers), "num_classes": found.num_classes, "num_clips": found.num_clips}
