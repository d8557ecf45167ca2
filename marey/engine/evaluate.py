"""Evaluation: every view of every clip is scored, views are averaged, then pure functions count.

A clip that cannot be read is missing: it is listed with the reason, counts as a wrong answer, and
is never replaced by another. So a number stands for the whole list that was asked for; the numbers
over the readable clips alone stand beside it as `metrics_readable`. A loss is of readable clips.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from marey.data.atomic import replacing
from marey.data.clips import Batch, ClipDataset, collate
from marey.data.manifest import Manifest
from marey.engine.provenance import decoder, environment
from marey.engine.runlog import run_errors
from marey.engine.stopping import ignore_in_worker
from marey.errors import ManifestError, RunError
from marey.metrics.accuracy import class_average, joint_accuracy, topk_accuracy
from marey.models.profile import gmacs, num_parameters
from marey.models.video_model import VideoModel
from marey.recipes.recipe import TestViews
from marey.types import Scores
from marey.video.augment import Augment, normalize
from marey.video.reader import Backend

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

    @property
    def metrics(self) -> dict[str, float]:
        """Percent of all clips; several heads carry their names, and `acc/` counts all at once."""
        heads = {name: self._of_head(name) for name in self.scores}
        if len(heads) == 1:
            return next(iter(heads.values()))
        named = {f"{name}/{key}": v for name, row in heads.items() for key, v in row.items()}
        return {"acc/top1": joint_accuracy(self.scores, self.manifest.labels)} | named

    @property
    def readable_rows(self) -> npt.NDArray[np.int64]:
        """The rows [m] of the manifest that could be read, in order."""
        return np.setdiff1d(np.arange(len(self.manifest)), list(self.missing))

    @property
    def readable(self) -> Evaluation:
        """The same of the clips that could be read, as if the list held no others."""
        rows = self.readable_rows
        scores = {name: values[rows] for name, values in self.scores.items()}
        return Evaluation(self.manifest.take(rows), scores, average=self.average)

    def _of_head(self, name: str) -> dict[str, float]:
        scores, labels = self.scores[name], self.manifest.labels[name]
        return _accuracies(scores, labels) | {"loss": _mean_loss(scores, labels, self.average)}


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
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """The scores of `model`, already on `device`, for every clip; `progress(done, all)` as it goes.

    Only the mean and std of `augment` are used: test clips are not changed otherwise.
    """
    heads = {head.name: head.num_classes for head in model.spec.heads}
    _check_heads(heads, manifest)
    scores: ScoreArrays = {
        name: np.full((len(manifest), k), np.nan, np.float32) for name, k in heads.items()
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
    return Evaluation(manifest, scores, missing, views.average)


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
    """Scores [b k] a head of uint8 [b v t c h w]: the mean over v of logits or probabilities."""
    model.eval()
    at_once = max(1, FRAMES_AT_ONCE // model.frames)
    parts: dict[str, list[torch.Tensor]] = {head.name: [] for head in model.spec.heads}
    for clip in torch.split(views.flatten(0, 1), at_once):
        x = normalize(
            clip.to(device), augment.mean, augment.std, channel_order=augment.channel_order
        )
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=amp):
            found = model(x)
        for name, values in found.items():
            values = values.float()
            parts[name].append(values.softmax(dim=1) if average == "probs" else values)
    b, v = views.shape[:2]
    return {name: torch.cat(logits).reshape(b, v, -1).mean(1) for name, logits in parts.items()}


def write_results(
    evaluation: Evaluation, folder: Path, model: VideoModel, views: TestViews, backend: Backend
) -> Path:
    """Write predictions.parquet and results.json into `folder`; returns the latter."""
    with run_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "predictions.parquet") as file:
        pq.write_table(prediction_table(evaluation), file)
    with replacing(folder / "results.json") as file:
        facts = about(evaluation, model, views, backend)
        file.write(json.dumps(facts, indent=1, allow_nan=False).encode())
    return folder / "results.json"


def about(
    evaluation: Evaluation, model: VideoModel, views: TestViews, backend: Backend
) -> dict[str, Any]:
    """What results.json says."""
    manifest, num_views = evaluation.manifest, views.sampling.clips * views.crop.views
    cost = gmacs(model, views.crop.size)
    missing = [
        {"row": row, "path": str(manifest.path(row)), "reason": reason}
        for row, reason in sorted(evaluation.missing.items())
    ]
    return {
        "metrics": _rounded(evaluation.metrics),
        "metrics_readable": _rounded(evaluation.readable.metrics),
        "num_clips": len(manifest),
        "num_missing": len(missing),
        "average": evaluation.average,
        "views": {
            "clips": views.sampling.clips,
            "crops": views.crop.views,
            "frames": model.frames,
            "size": views.crop.size,
        },
        "parameters": num_parameters(model),
        "gmacs_per_view": round(cost, 4),
        "gmacs_total": round(cost * num_views, 4),
        "decoder": decoder(backend),
        "versions": environment(),
        "manifest": str(manifest.source),
        "data_hash": manifest.digest(),
        "span_unit": manifest.unit,
        "classes": {head: list(names) for head, names in manifest.classes.items()},
        "missing": missing,
    }


def prediction_table(evaluation: Evaluation) -> pa.Table:
    """One row a clip that was read: id, path, start, end, label and scores of every head."""
    read = evaluation.readable.manifest
    columns: dict[str, Any] = {
        "id": evaluation.readable_rows,
        "path": [str(read.path(i)) for i in range(len(read))],
    }
    for name, bounds in (("start", read.starts), ("end", read.ends)):
        columns[name] = pa.array([None] * len(read) if bounds is None else bounds, pa.float64(),
                                 from_pandas=True)  # fmt: skip
    for head, scores in evaluation.readable.scores.items():
        columns[head] = read.labels[head]
        values = pa.array(scores.ravel())
        columns[scores_column(head)] = pa.FixedSizeListArray.from_arrays(values, scores.shape[1])
    return pa.table(columns)


def scores_column(head: str) -> str:
    """The column that holds the scores of `head`."""
    return "scores" if head == "label" else f"scores.{head}"


def metrics_of_dump(path: Path) -> dict[str, dict[str, float]]:
    """Metrics of every head from a predictions.parquet alone, over the clips that are in it."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(f"{path} is not a dump of predictions: {error}") from error
    columns = [name for name in table.column_names if name.split(".")[0] == "scores"]
    if not columns:
        raise RunError(f"{path} has no column 'scores'; it has {', '.join(table.column_names)}")
    heads = [column.partition(".")[2] or "label" for column in columns]
    return {
        head: _accuracies(*_scores_and_labels(path, table, column, head))
        for head, column in zip(heads, columns, strict=True)
    }


def _scores_and_labels(
    path: Path, table: pa.Table, column: str, head: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    if head not in table.column_names:
        raise RunError(f"{path} has '{column}' but no labels for it", f"it needs '{head}'")
    lengths = pc.unique(pc.list_value_length(table[column])).to_pylist()
    if len(lengths) != 1 or not lengths[0]:
        raise RunError(f"{path}: '{column}' has {lengths} scores a clip, expected one number")
    scores = pc.list_flatten(table[column]).to_numpy().astype(np.float32).reshape(-1, lengths[0])
    labels = table[head].to_numpy()
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= lengths[0]:
        raise RunError(f"{path}: '{head}' is not a class from 0 to {lengths[0] - 1} everywhere")
    return scores, labels.astype(np.int64)


def _check_heads(heads: dict[str, int], manifest: Manifest) -> None:
    for name, num_classes in heads.items():
        if name not in manifest.labels:
            raise ManifestError(f"{manifest.source} has no column '{name}' of the model's head")
        if len(manifest.classes[name]) != num_classes:
            raise ManifestError(
                f"{manifest.source} has {len(manifest.classes[name])} classes of '{name}', the "
                f"model {num_classes}",
                "evaluate on a manifest with the class names the model was trained on",
            )


def _accuracies(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    metrics = {"acc/top1": topk_accuracy(scores, labels)}
    if scores.shape[1] > 5:
        metrics["acc/top5"] = topk_accuracy(scores, labels, 5)
    return metrics | {"acc/class_avg": class_average(scores, labels)}


def _mean_loss(
    scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], average: str
) -> float:
    known = ~np.isnan(scores).any(axis=1)
    if not known.any():
        return float("nan")
    values = torch.from_numpy(scores[known])
    if average == "probs":  # one that float32 rounds to 0 would make the mean infinite
        log = values.clamp_min(torch.finfo(values.dtype).tiny).log()
    else:
        log = values.log_softmax(dim=1)
    return float(torch.nn.functional.nll_loss(log, torch.from_numpy(labels[known])))


def _rounded(metrics: dict[str, float]) -> dict[str, float | None]:
    return {key: round(v, 4) if np.isfinite(v) else None for key, v in metrics.items()}
