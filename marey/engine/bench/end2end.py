"""Clips from their files to scores, as an evaluation does it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from marey.data.loading.clips import Batch, ClipDataset
from marey.data.loading.loader import clip_batches
from marey.data.manifest.manifest import Manifest
from marey.engine.bench.model import Form, in_form
from marey.engine.inference.scoring import score_views
from marey.engine.runtimes.scorer import Scorer
from marey.engine.timing import on_gpu
from marey.models.layout import channels_last
from marey.recipes.describe import with_some_head
from marey.recipes.recipe import Recipe
from marey.video.reading.reader import Backend


@dataclass(frozen=True, kw_only=True)
class EndToEndSpeed:
    """Clips a second from files to scores, and whether clips or the model are waited for."""

    clips: int
    unreadable: int
    workers: int
    clips_per_second: float
    form: Form
    amp: bool
    """Whether it scored in bfloat16 where that is safe, as the recipe is tested."""
    waiting_share: float
    """Of the time, in which the model waited for clips."""


def bench_end_to_end(
    manifest: Manifest,
    recipe: Recipe,
    *,
    num_clips: int = 100,
    batch_size: int = 1,
    workers: int = 1,
    device: str = "cpu",
    backend: Backend = "pyav",
    form: Form = "fused",
) -> EndToEndSpeed:
    """Score about `num_clips` clips on the test views of `recipe`, with random weights.

    The first batch of every worker is not counted: the others still start.
    """
    model = channels_last(with_some_head(recipe.tested_model).build()).to(device).eval()
    scorer = in_form(form, model)
    clips = ClipDataset(
        manifest,
        recipe.test.sampling,
        recipe.test.crop,
        backend=backend,
        modality=recipe.model.modality,
        flow=recipe.data.flow,
    )
    started = max(1, workers)
    rows = np.resize(np.arange(len(manifest)), num_clips + started * batch_size).tolist()
    keys = [
        [(row, None) for row in rows[i : i + batch_size]] for i in range(0, len(rows), batch_size)
    ]
    read = unreadable = 0
    waited = 0.0
    batches = clip_batches(clips, keys, workers=workers, pin_memory=on_gpu(device))
    for _ in range(started):
        _score(scorer, next(batches), recipe, device)
    start = asked = time.perf_counter()
    for batch in batches:
        waited += time.perf_counter() - asked
        read, unreadable = read + len(batch.rows), unreadable + len(batch.failures)
        _score(scorer, batch, recipe, device)
        asked = time.perf_counter()
    seconds = time.perf_counter() - start
    return EndToEndSpeed(
        clips=read,
        unreadable=unreadable,
        workers=workers,
        clips_per_second=read / seconds,
        form=form,
        amp=recipe.in_bfloat16,
        waiting_share=waited / seconds,
    )


def _score(scorer: Scorer, batch: Batch, recipe: Recipe, device: str) -> None:
    """Score a batch, and wait until it is done: scores come to the CPU."""
    if len(batch.rows):
        scores = score_views(scorer, batch.to(device).clip, recipe, device=device)
        for values in scores.values():
            values.cpu()
