"""Scores of clips: views of every clip go through the model, and are averaged."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from marey.data.loading.clips import Batch, ClipDataset
from marey.data.loading.loader import clip_batches
from marey.data.manifest.manifest import Manifest
from marey.engine.inference.probabilities import to_average
from marey.engine.runtimes.scorer import Scorer
from marey.errors import ManifestError, RunError, counted
from marey.jobs.parts import Progress
from marey.recipes.compatible import check_clips
from marey.recipes.frozen import tests_on
from marey.recipes.recipe import Recipe
from marey.types import Clip, Scores
from marey.video.augment import Augment, normalize

FRAMES_AT_ONCE = 256
"""Frames a forward pass holds at most; more views are scored one part after the other."""

FRAMES_OF_A_BATCH = 1024
"""Frames of a batch, all views together, unless its size is asked for; workers hold several."""

ScoreArrays: TypeAlias = dict[str, npt.NDArray[np.float32]]
"""Head -> scores [n k] of the n clips of a manifest, NaN where a clip could not be read."""


def score_clips(
    scorer: Scorer,
    manifest: Manifest,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> tuple[ScoreArrays, dict[int, str]]:
    """Scores of every clip, with or without labels, and row -> why a clip could not be read.

    RunError names a clip whose scores are not finite.

    Args: as `marey.engine.inference.evaluate.evaluate`, but for the `scorer`, which takes clips of
        as many frames as the recipe's test views have.
    """
    check_clips(scorer.spec, manifest, recipe)
    recipe = tests_on(recipe, manifest)
    scores: ScoreArrays = {
        head.name: np.full((len(manifest), head.num_classes), np.nan, np.float32)
        for head in scorer.spec.heads
    }
    missing: dict[int, str] = {}
    done = 0
    with closing(view_batches(manifest, recipe, workers=workers, batch_size=batch_size)) as batches:
        for batch in batches:
            missing |= dict(batch.failures)
            if len(batch.rows):
                found = score_views(scorer, batch.clip, recipe, device=device)
                check_finite(found, [manifest.path(row) for row in batch.rows.tolist()])
                for name, values in found.items():
                    scores[name][batch.rows.numpy()] = values.cpu().numpy()
            done += len(batch.rows) + len(batch.failures)
            if progress:
                progress(done, len(manifest))
    return scores, missing


def view_batches(
    manifest: Manifest, recipe: Recipe, *, workers: int | None, batch_size: int | None
) -> Generator[Batch]:
    """The fixed test views of every row, in order; sizes as `clips_at_once`."""
    size, views, data = clips_at_once(recipe, batch_size), recipe.test, recipe.data
    rows = range(len(manifest))
    keys = ([(row, None) for row in rows[i : i + size]] for i in rows[::size])
    clips = ClipDataset(
        manifest,
        views.sampling,
        views.crop,
        backend=data.backend,
        modality=recipe.model.modality,
        flow=data.flow,
    )
    return clip_batches(
        clips,
        keys,
        workers=data.workers if workers is None else workers,
        clip_seconds=data.clip_seconds,
    )


def clips_at_once(recipe: Recipe, batch_size: int | None = None) -> int:
    """Clips of a batch of the test: `batch_size`, else as the recipe says, fewer of many views.

    A batch of the recipe is one of training, of one view a clip; a test may have 250 times as many
    frames.
    """
    views = recipe.test
    frames = views.sampling.clips * views.crop.views * views.sampling.frames
    if batch_size or recipe.model.takes_features or not frames:
        return batch_size or recipe.batch_size
    return max(1, min(recipe.batch_size, FRAMES_OF_A_BATCH // frames))


@torch.no_grad()
def score_views(
    scorer: Scorer, views: Tensor, recipe: Recipe, *, device: torch.device | str
) -> Scores:
    """Scores [b k] a head: the mean over v of logits or, if the recipe says so, probabilities.

    A probability is that of a softmax or, of a head of several classes a clip, of each class alone.

    ValueError of a model in training mode.

    views: uint8 [b v t c h w], or features [b v t d], of as many frames as `scorer` takes.
    """
    if isinstance(scorer, nn.Module) and scorer.training:
        raise ValueError("the model is in training mode, expected evaluation. hint: model.eval()")
    parts: dict[str, list[torch.Tensor]] = {head.name: [] for head in scorer.spec.heads}
    several = scorer.spec.several
    for x in model_inputs(scorer, views, recipe.augment, device):
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=recipe.in_bfloat16):
            scores = scorer(x)
        for name, values in scores.items():
            shown = to_average(values.float(), average=recipe.test.average, several=name in several)
            parts[name].append(shown)
    b, v = views.shape[:2]
    return {name: torch.cat(values).reshape(b, v, -1).mean(1) for name, values in parts.items()}


def check_finite(scores: Scores, clips: Sequence[object]) -> None:
    """RunError that names the first of `clips` whose scores [b k] of a head are no numbers."""
    for head, values in scores.items():
        if not (finite := values.isfinite().all(dim=1)).all():
            clip = clips[int(finite.int().argmin())]
            raise RunError(
                f"{clip}: the scores of '{head}' are not finite",
                "the numbers inside the model overflow for this clip: look at its frames, and at "
                "how the model was trained",
            )


def model_inputs(
    scorer: Scorer, views: Tensor, augment: Augment, device: torch.device | str
) -> Iterator[Clip]:
    """The views of a batch, [b v ...], as clips for the model, as many as memory holds at once."""
    clips = views.flatten(0, 1)
    if clips.is_floating_point():  # features, which are small
        yield clips.to(device)
        return
    for part in torch.split(clips, max(1, FRAMES_AT_ONCE // scorer.spec.frames)):
        yield normalize(
            part.to(device), augment.mean, augment.std, channel_order=augment.channel_order
        )


def check_heads(scorer: Scorer, manifest: Manifest) -> None:
    """ManifestError unless the manifest has labels, of as many classes, for every head."""
    for name, num_classes in ((head.name, head.num_classes) for head in scorer.spec.heads):
        if name not in manifest.labels:
            raise ManifestError(f"{manifest.source} has no column '{name}' of the model's head")
        if len(manifest.classes[name]) != num_classes:
            given = counted(len(manifest.classes[name]), "class")
            raise ManifestError(
                f"{manifest.source} has {given} of '{name}', the model {num_classes}",
                "evaluate on a manifest with the class names the model was trained on",
            )
