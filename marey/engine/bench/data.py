"""How fast this machine reads clips and runs a model: figures to compare with, not to boast of."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from marey.data.loading.clips import ClipDataset
from marey.data.loading.loader import clip_batches
from marey.data.loading.samplers import draw_seeds
from marey.data.manifest.manifest import Manifest
from marey.models.layout import channels_last
from marey.models.profile import gmacs, num_parameters
from marey.models.video_model import ModelSpec
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
) -> DataSpeed:
    """Read about `num_clips` clips as training does; the start of the workers is not counted."""
    started = max(1, workers)  # batches: each worker's first comes while the others still start
    num_rows = num_clips + started * batch_size
    rows = np.resize(np.random.default_rng(0).permutation(len(manifest)), num_rows)
    seeds = draw_seeds(0, 0, np.arange(len(rows)))
    pairs = list(zip(rows.tolist(), seeds.tolist(), strict=True))
    clips = ClipDataset(manifest, views.sampling, views.crop, backend=backend)
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


@dataclass(frozen=True)
class ModelSpeed:
    """What a model costs and how fast it runs here."""

    parameters: int
    gmacs: float
    batch_size: int
    median_seconds: float
    """Of one batch, forward only."""
    peak_memory_bytes: int
    """On a GPU what tensors took at most; on a CPU the most this process ever held."""

    @property
    def clips_per_second(self) -> float:
        """Clips a second at this batch size."""
        return self.batch_size / self.median_seconds


def bench_model(
    spec: ModelSpec,
    *,
    size: int = 224,
    batch_size: int = 1,
    repeats: int = 10,
    device: str = "cpu",
    amp: bool = False,
) -> ModelSpeed:
    """Time `repeats` batches of random clips after two to warm up."""
    model = channels_last(spec.build()).to(device).eval()
    clip = torch.randn(batch_size, *spec.clip_shape(size), device=device)
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    autocast = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=amp)
    with torch.inference_mode(), autocast:
        for _ in range(repeats + 2):
            start = time.perf_counter()
            model(clip)
            if on_gpu:
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - start)
    return ModelSpeed(
        parameters=num_parameters(model),
        gmacs=gmacs(model, size),
        batch_size=batch_size,
        median_seconds=statistics.median(seconds[2:]),
        peak_memory_bytes=torch.cuda.max_memory_allocated(device) if on_gpu else _peak_rss(),
    )


def _peak_rss() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
