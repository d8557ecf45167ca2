"""Scores of clips: views of every clip go through the model, and are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marey.data.loading.clips import Batch, ClipDataset
from marey.data.loading.loader import clip_batches
from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError
from marey.models.video_model import VideoModel
from marey.recipes.compatible import check_clips
from marey.recipes.recipe import TestViews
from marey.types import Clip, Scores
from marey.video.augment import Augment, normalize
from marey.video.reading.reader import Backend

FRAMES_AT_ONCE = 256
"""Frames a forward pass holds at most; more views are scored one part after the other."""


ScoreArrays: TypeAlias = dict[str, npt.NDArray[np.float32]]


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
    clips = ClipDataset(manifest, views.sampling, views.crop, backend=backend)
    return clip_batches(clips, keys, workers=workers)


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
