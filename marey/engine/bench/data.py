"""Clips a second from files to batches, and what the time goes into."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from marey.data.loading.clips import ClipDataset
from marey.data.loading.loader import clip_batches
from marey.data.loading.samplers import draw_seeds
from marey.data.manifest.manifest import Manifest
from marey.modality import Modality
from marey.recipes.recipe import Views
from marey.video.reading.reader import Backend


@dataclass(frozen=True, kw_only=True)
class DataSpeed:
    """Clips a second through the training loader, and what a loader process spends its time on."""

    clips: int
    unreadable: int
    workers: int
    clips_per_second: float
    decode_share: float
    resize_share: float
    collate_share: float

    @property
    def clips_per_second_per_core(self) -> float:
        """Clips a second a loader process; without loader processes, this process."""
        return self.clips_per_second / max(1, self.workers)


def bench_data(
    manifest: Manifest,
    views: Views,
    *,
    num_clips: int = 500,
    batch_size: int = 16,
    workers: int = 1,
    backend: Backend = "pyav",
    modality: Modality = "rgb",
) -> DataSpeed:
    """Read about `num_clips` clips as training does; the start of the workers is not counted."""
    started = max(1, workers)  # batches: each worker's first comes while the others still start
    num_rows = num_clips + started * batch_size
    rows = np.resize(np.random.default_rng(0).permutation(len(manifest)), num_rows)
    seeds = draw_seeds(0, 0, np.arange(len(rows)))
    pairs = list(zip(rows.tolist(), seeds.tolist(), strict=True))
    clips = ClipDataset(manifest, views.sampling, views.crop, backend=backend, modality=modality)
    keys = [pairs[i : i + batch_size] for i in range(0, len(pairs), batch_size)]
    batches = clip_batches(clips, keys, workers=workers)
    parts = {"decode": 0.0, "resize": 0.0, "collate": 0.0}
    read = unreadable = 0
    for _ in range(started):
        next(batches)
    start = time.perf_counter()
    for batch in batches:
        read, unreadable = read + len(batch.rows), unreadable + len(batch.failures)
        for part in parts:
            parts[part] += batch.seconds.get(part, 0.0)
    seconds = time.perf_counter() - start
    total = sum(parts.values()) or 1.0
    return DataSpeed(
        clips=read,
        unreadable=unreadable,
        workers=workers,
        clips_per_second=read / seconds,
        decode_share=parts["decode"] / total,
        resize_share=parts["resize"] / total,
        collate_share=parts["collate"] / total,
    )
