"""Evaluation: every view of every clip is scored, views are averaged, then pure functions count.

A clip that cannot be read is missing: it is listed with the reason, counts as a wrong answer, and
is never replaced by another. So a number stands for the whole list that was asked for; the numbers
over the readable clips alone stand beside it as `metrics_readable`. A loss is of readable clips.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from marey.data.loading.clips import Batch, ClipDataset, collate
from marey.data.manifest.manifest import Manifest
from marey.engine.environment import decoder, environment
from marey.engine.inference.measures import (
    UNKNOWN,
    TrainingCounts,
    head_estimates,
    head_metrics,
    mean_loss,
)
from marey.engine.inference.predictions import prediction_table
from marey.engine.train.run_log import run_errors
from marey.engine.train.stop_signals import ignore_in_worker
from marey.errors import ManifestError
from marey.metrics.accuracy import joint_accuracy
from marey.metrics.longtail import Estimate
from marey.models.profile import gmacs, num_parameters
from marey.models.video_model import VideoModel
from marey.recipes.compatible import check_clips
from marey.recipes.protocols import protocol_of
from marey.recipes.recipe import Recipe, TestViews
from marey.storage.atomic import replacing
from marey.types import Clip, Scores
from marey.video.augment import Augment, normalize
from marey.video.reading.reader import Backend

FRAMES_AT_ONCE = 256
"""Frames a forward pass holds at most; more views are scored one part after the other."""

ScoreArrays: TypeAlias = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores [n k] a head for the n clips of a manifest, NaN where a clip could not be read."""

    manifest: Manifest
    scores: ScoreArrays
    missing: dict[int, str] = field(default_factory=dict)
    """Row -> reason."""
    average: Literal["logits", "probs"] = "logits"
    trained_on: TrainingCounts = UNKNOWN
    """What says which classes are head, tail and few-shot; metrics of groups need it."""

    @property
    def metrics(self) -> dict[str, float]:
        """Percent of all clips; several heads carry their names, and `acc/` counts all at once."""
        heads = {name: self._of_head(name) for name in self.scores}
        if len(heads) == 1:
            return next(iter(heads.values()))
        named = {f"{name}/{key}": v for name, row in heads.items() for key, v in row.items()}
        if any(labels.ndim == 2 for labels in self.manifest.labels.values()):
            return named
        return {"acc/top1": joint_accuracy(self.scores, self.manifest.labels)} | named

    @cached_property
    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """Head -> number -> its value, its interval, and the classes and clips it rests on."""
        return {
            name: head_estimates(scores, self.manifest.labels[name], self.trained_on.groups(name))
            for name, scores in self.scores.items()
        }

    @property
    def named_estimates(self) -> dict[str, Estimate]:
        """The estimates under the names that `metrics` has."""
        if len(self.estimates) == 1:
            return next(iter(self.estimates.values()))
        return {f"{h}/{key}": e for h, row in self.estimates.items() for key, e in row.items()}

    @property
    def readable_rows(self) -> npt.NDArray[np.int64]:
        """The rows [m] of the manifest that could be read, in order."""
        return np.setdiff1d(np.arange(len(self.manifest)), list(self.missing))

    @property
    def readable(self) -> Evaluation:
        """The same of the clips that could be read, as if the list held no others."""
        rows = self.readable_rows
        scores = {name: values[rows] for name, values in self.scores.items()}
        return replace(self, manifest=self.manifest.take(rows), scores=scores, missing={})

    @property
    def by_source(self) -> dict[str, Evaluation]:
        """The same of the clips of each source, if the manifest says where they come from."""
        sources = self.manifest.sources
        if sources is None:
            return {}
        codes, names = sources.indices.to_numpy(), sources.dictionary.to_pylist()
        rows = {name: np.flatnonzero(codes == code) for code, name in enumerate(names)}
        return {name: self._of_rows(there) for name, there in sorted(rows.items()) if len(there)}

    def _of_rows(self, rows: npt.NDArray[np.int64]) -> Evaluation:
        old = enumerate(rows.tolist())
        return replace(
            self,
            manifest=self.manifest.take(rows),
            scores={name: values[rows] for name, values in self.scores.items()},
            missing={new: self.missing[row] for new, row in old if row in self.missing},
        )

    def _of_head(self, name: str) -> dict[str, float]:
        scores, labels = self.scores[name], self.manifest.labels[name]
        metrics = head_metrics(scores, labels, self.trained_on.groups(name))
        return metrics | {"loss": mean_loss(scores, labels, self.average)}


def evaluate(
    model: VideoModel,
    manifest: Manifest,
    views: TestViews,
    *,
    augment: Augment,
    batch_size: int = 8,
    workers: int = 2,
    backend: Backend = "pyav",
    device: torch.device | str = "cpu",
    amp: bool = False,
    trained_on: TrainingCounts = UNKNOWN,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """The scores of `model`, already on `device`, for every clip; `progress(done, all)` as it goes.

    Only the mean and std of `augment` are used: test clips are not changed otherwise.
    """
    check_clips(model.spec, manifest)
    check_heads(model, manifest, views.average)
    scores, missing = score_clips(
        model, manifest, views, augment=augment, batch_size=batch_size, workers=workers,
        backend=backend, device=device, amp=amp, progress=progress,
    )  # fmt: skip
    return Evaluation(manifest, scores, missing, views.average, trained_on)


def score_clips(
    model: VideoModel,
    manifest: Manifest,
    views: TestViews,
    *,
    augment: Augment,
    batch_size: int = 8,
    workers: int = 2,
    backend: Backend = "pyav",
    device: torch.device | str = "cpu",
    amp: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ScoreArrays, dict[int, str]]:
    """As `evaluate`, of clips with or without labels: scores [n k] a head, and row -> reason.

    The scores of a clip that could not be read are NaN.
    """
    check_clips(model.spec, manifest)
    scores: ScoreArrays = {
        head.name: np.full((len(manifest), head.num_classes), np.nan, np.float32)
        for head in model.spec.heads
    }
    missing: dict[int, str] = {}
    done = 0
    for batch in test_batches(manifest, views, batch_size, workers, backend):
        missing |= dict(batch.failures)
        if len(batch.rows):
            found = score_views(
                model, batch.clip, average=views.average, augment=augment, device=device, amp=amp
            )
            for name, values in found.items():
                scores[name][batch.rows.numpy()] = values.cpu().numpy()
        done += len(batch.rows) + len(batch.failures)
        if progress:
            progress(done, len(manifest))
    return scores, missing


def test_batches(
    manifest: Manifest, views: TestViews, batch_size: int, workers: int, backend: Backend
) -> Iterator[Batch]:
    """The fixed test views of every row, in order."""
    rows = range(len(manifest))
    keys = [[(row, None) for row in rows[i : i + batch_size]] for i in rows[::batch_size]]
    loader = DataLoader(
        ClipDataset(manifest, views.sampling, views.crop, backend=backend),
        batch_sampler=keys,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=ignore_in_worker,
    )
    return iter(loader)


test_batches.__test__ = False  # type: ignore[attr-defined]  # a name that pytest would collect


@torch.no_grad()
def score_views(
    model: VideoModel,
    views: Tensor,
    *,
    average: Literal["logits", "probs"],
    augment: Augment,
    device: torch.device | str,
    amp: bool = False,
) -> Scores:
    """Scores [b k] a head: the mean over v of logits or probabilities.

    views: uint8 [b v t c h w], or features [b v t d].
    """
    model.eval()
    parts: dict[str, list[torch.Tensor]] = {head.name: [] for head in model.spec.heads}
    for x in model_inputs(model, views, augment, device):
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=amp):
            found = model(x)
        for name, values in found.items():
            values = values.float()
            parts[name].append(values.softmax(dim=1) if average == "probs" else values)
    b, v = views.shape[:2]
    return {name: torch.cat(logits).reshape(b, v, -1).mean(1) for name, logits in parts.items()}


def model_inputs(
    model: VideoModel, views: Tensor, augment: Augment, device: torch.device | str
) -> Iterator[Clip]:
    """The views of a batch, [b v ...], as clips for the model, as many as memory holds at once."""
    clips = views.flatten(0, 1)
    if model.spec.takes_features:  # which are small
        yield clips.to(device)
        return
    for part in torch.split(clips, max(1, FRAMES_AT_ONCE // model.frames)):
        yield normalize(
            part.to(device), augment.mean, augment.std, channel_order=augment.channel_order
        )


def write_results(evaluation: Evaluation, folder: Path, model: VideoModel, recipe: Recipe) -> Path:
    """Write predictions.parquet and results.json into `folder`; returns the latter."""
    with run_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    read = evaluation.readable
    with replacing(folder / "predictions.parquet") as file:
        pq.write_table(prediction_table(read.manifest, read.scores, evaluation.readable_rows), file)
    with replacing(folder / "results.json") as file:
        facts = about(evaluation, model, recipe)
        file.write(json.dumps(facts, indent=1, allow_nan=False).encode())
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


def check_heads(model: VideoModel, manifest: Manifest, average: str) -> None:
    """ManifestError unless the manifest has labels, of as many classes, for every head."""
    for name, num_classes in ((head.name, head.num_classes) for head in model.spec.heads):
        if name not in manifest.labels:
            raise ManifestError(f"{manifest.source} has no column '{name}' of the model's head")
        if len(manifest.classes[name]) != num_classes:
            raise ManifestError(
                f"{manifest.source} has {len(manifest.classes[name])} classes of '{name}', the "
                f"model {num_classes}",
                "evaluate on a manifest with the class names the model was trained on",
            )
        if average == "probs" and manifest.labels[name].ndim == 2:
            raise ManifestError(
                f"{manifest.source}: clips have several classes of '{name}', whose probabilities "
                "are not those of a softmax",
                "average the logits of the views: test.average=logits",
            )


def _rounded(metrics: dict[str, float]) -> dict[str, float | None]:
    return {key: round(v, 4) if np.isfinite(v) else None for key, v in metrics.items()}


def _estimate_facts(found: Estimate) -> dict[str, float | int | None]:
    numbers = {"value": found.value, "low": found.interval.low, "high": found.interval.high}
    return {**_rounded(numbers), "num_classes": found.num_classes, "num_clips": found.num_clips}
