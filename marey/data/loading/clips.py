"""Rows of a manifest -> clips -> batches; what happens in a loader worker.

A worker opens the video, reads the frames that `sampling` asks for, cuts them by `crop` and closes
it. Shape is fixed here, appearance (colour, flip, mixing) later on the device, from `Batch.seeds`:
what travels is uint8.

A manifest of features has no pixels: its clips are the vectors of the frames asked for.

A clip that cannot be read stays that clip: its sample says why, and leaves the batch by name.
No other clip takes its place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from marey.data.features.feature_file import Features
from marey.data.manifest.manifest import Manifest
from marey.errors import DecodeError, ManifestError, StorageError
from marey.modality import Modality
from marey.types import Labels
from marey.video.crops import Crop
from marey.video.reading.flow import PUBLISHED, FlowSettings
from marey.video.reading.reader import Backend
from marey.video.reading.samples import open_samples
from marey.video.sampling.segments import Sampling, at_rate

NO_SEED = -1
"""`Sample.seed` under the deterministic test rule."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One clip of one row, or why it could not be read."""

    row: int
    clip: Tensor | None
    """uint8 [v t c h w], c = 3 of pictures, 10 of flow, 18 of RGB difference (`marey.modality`);
    views are clips x crops, the crops of a clip together. Of features, float32 [v t d]. None on
    error."""
    labels: dict[str, np.ndarray | np.int64]
    """Head -> class, or bool [k] where clips have several."""
    seed: int
    error: str | None
    away: bool = False
    """Whether what holds the clip did not give it, by no fault of the clip (`StorageError`)."""
    seconds: dict[str, float]
    """What the time went into: decode, resize."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The samples that could be read, stacked, and the others by row and reason."""

    rows: Tensor
    """int64 [b] in the manifest."""
    clip: Tensor
    """uint8 [b v t c h w], or float32 [b v t d]; [0 0 0 3 0 0] if nothing could be read."""
    labels: Labels
    seeds: np.ndarray
    """int64 [b]"""
    failures: tuple[tuple[int, str], ...]
    seconds: dict[str, float]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which copies to a GPU overlap with work."""
        return self._moved(Tensor.pin_memory)

    def _moved(self, move: Callable[[Tensor], Tensor]) -> Batch:
        labels = {head: move(tensor) for head, tensor in self.labels.items()}
        return replace(self, clip=move(self.clip), labels=labels)


class ClipDataset(Dataset[Sample]):
    """The clips of a manifest by (row, seed); seed None is the deterministic test rule.

    `modality` is that of the model that they are for, `flow` how flow is computed for it.
    """

    def __init__(
        self,
        manifest: Manifest,
        sampling: Sampling,
        crop: Crop,
        *,
        backend: Backend = "pyav",
        modality: Modality = "rgb",
        flow: FlowSettings = PUBLISHED,
    ) -> None:
        self.manifest, self.sampling, self.crop = manifest, sampling, crop
        self.backend, self.modality, self.flow = backend, modality, flow

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, key: tuple[int, int | None]) -> Sample:
        row, seed = key
        labels = {head: column[row] for head, column in self.manifest.labels.items()}
        clip, error, away, seconds = None, None, False, {"decode": 0.0, "resize": 0.0}
        rng = None if seed is None else clip_rng(seed)
        try:
            if self.manifest.features is None:
                clip = self._load(row, rng, seconds)
            else:
                clip = self._read(self.manifest.features, row, rng, seconds)
        except DecodeError as fault:
            error, away = str(fault), isinstance(fault, StorageError)
        except (MemoryError, RuntimeError) as fault:
            if not memory_ran_out(fault):
                raise
            error = f"{self.manifest.path(row)}: too large for the memory"
        return Sample(
            row=row,
            clip=clip,
            labels=labels,
            seed=NO_SEED if seed is None else seed,
            error=error,
            away=away,
            seconds=seconds,
        )

    def lost(self, row: int, reason: str) -> Sample:
        """The sample of a clip that is not to be read, for that reason."""
        labels = {head: column[row] for head, column in self.manifest.labels.items()}
        return Sample(row=row, clip=None, labels=labels, seed=NO_SEED, error=reason, seconds={})

    def _load(self, row: int, rng: np.random.Generator | None, seconds: dict[str, float]) -> Tensor:
        start = time.perf_counter()
        source = self.manifest.clip(row)
        with open_samples(
            source.path,
            self.modality,
            backend=self.backend,
            span=source.span,
            num_frames=source.num_frames,
            settings=self.flow,
        ) as video:
            sampling = at_rate(self.sampling, source.fps or video.fps)
            indices = sampling.indices(len(video), rng)
            needed, order = np.unique(indices, return_inverse=True)
            frames = video.gather(needed)
        decoded = time.perf_counter()
        if np.array_equal(order.ravel(), np.arange(indices.size)):
            clips = [*torch.chunk(frames, len(indices))]  # every frame once, in order: no copy
        else:
            clips = [frames[clip] for clip in torch.from_numpy(order.reshape(indices.shape))]
        crops = [self.crop(clip, rng) for clip in clips]
        views = crops[0] if len(crops) == 1 else _joined(torch.cat, crops)
        seconds["decode"] = decoded - start
        seconds["resize"] = time.perf_counter() - decoded
        return views

    def _read(
        self,
        features: Features,
        row: int,
        rng: np.random.Generator | None,
        seconds: dict[str, float],
    ) -> Tensor:
        start = time.perf_counter()
        indices = self.sampling.indices(features.num_frames(row), rng)
        clips = torch.from_numpy(features.read(row, indices))
        seconds["decode"] = time.perf_counter() - start
        return clips


def collate(samples: Sequence[Sample]) -> Batch:
    """The batch of `samples`; failed ones leave it and stand in `failures`."""
    start = time.perf_counter()
    read = [sample for sample in samples if sample.clip is not None]
    heads = samples[0].labels if samples else {}
    clips = [sample.clip for sample in read if sample.clip is not None]
    if len({len(clip[0]) for clip in clips}) > 1:
        raise ManifestError(
            f"clips of {min(len(c[0]) for c in clips)} to {max(len(c[0]) for c in clips)} frames "
            "do not make a batch",
            "a sampling of so many frames: train.sampling={EvenFrames: {num_frames: 8}}, and test",
        )
    nothing = torch.empty(0, 0, 0, 3, 0, 0, dtype=torch.uint8)
    stacked = _joined(torch.stack, clips) if clips else nothing
    parts = {part: sum(s.seconds.get(part, 0.0) for s in samples) for part in ("decode", "resize")}
    return Batch(
        rows=torch.tensor([sample.row for sample in read], dtype=torch.int64),
        clip=stacked,
        labels={head: _stacked([sample.labels[head] for sample in read]) for head in heads},
        seeds=np.array([sample.seed for sample in read], dtype=np.int64),
        failures=tuple((s.row, s.error or "") for s in samples if s.clip is None),
        seconds=parts | {"collate": time.perf_counter() - start},
    )


def memory_ran_out(error: Exception) -> bool:
    """Whether there was no memory for an array or a tensor: torch has no class for that error."""
    return isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)


def _joined(join: Callable[[list[Tensor]], Tensor], clips: list[Tensor]) -> Tensor:
    """Clips put together in the memory layout they have: channels last if they came so."""
    if clips[0].dtype != torch.uint8:
        return join(clips)
    return join([clip.movedim(-3, -1) for clip in clips]).movedim(-1, -3)


def _stacked(labels: Sequence[np.ndarray | np.int64]) -> Tensor:
    """int64 [b] of classes, float32 [b k] of clips that have several."""
    array = np.array(labels)
    return torch.from_numpy(array.astype(np.float32 if array.ndim == 2 else np.int64))


def clip_rng(seed: int) -> np.random.Generator:
    """The generator of one draw's frames and crops; the device's augmentation draws from others."""
    return np.random.default_rng((seed, _SHAPE))


_SHAPE = 2  # augment draws from (seed, 1); (seed, 0) would be the stream of seed alone
