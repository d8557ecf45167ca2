"""A model, the clips it is to see, and the file of features they become, in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from marey.data.features.feature_file import (
    FeatureFile,
    feature_schema,
    feature_writer,
    features_of,
    join_features,
    open_table,
)
from marey.data.loading.clips import Batch
from marey.data.manifest.manifest import Manifest, table_digest
from marey.data.manifest.write import manifest_table
from marey.engine.inference.jobs import ClipJob
from marey.engine.inference.scoring import model_inputs, view_batches
from marey.engine.weights.checkpoint import weights_digest
from marey.errors import ManifestError, RunError
from marey.jobs.parts import Progress
from marey.models.encoder import Over
from marey.models.video_model import VideoModel
from marey.recipes.compatible import check_clips
from marey.recipes.frozen import about_encoder
from marey.recipes.recipe import Recipe

Per = Literal["frame", "clip", "token"]
DType = Literal["float16", "float32"]
OVER: Mapping[Per, Over] = {"frame": "frames", "clip": "frames", "token": "tokens"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Extractor(ClipJob):
    """The features of clips, for the file `out`."""

    out: Path
    per: Per = "frame"
    """One vector a frame, for the mean of all frames and views, or for each place of each frame."""
    dtype: DType = "float16"
    weights_from: str = ""
    """Where the weights of the encoder are, for whoever trains on the features."""

    def __post_init__(self) -> None:
        check_clips(self.model.spec, self.manifest, self.recipe)

    def facts(self) -> Mapping[str, object]:
        """All columns of the file, and what it says of its making: the weights are in it."""
        return {
            "file": str(self.schema.metadata),
            "rows": table_digest(self.table),
            "dtype": self.dtype,
        }

    @cached_property
    def table(self) -> pa.Table:
        """The rows of the manifest as they stand in the file."""
        return manifest_table(self.manifest, self.out.parent)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the file, and what it says of its making."""
        return feature_schema(
            self.table.schema,
            dim=self.model.encoded_width(self.over),
            dtype=self.dtype,
            classes=self.manifest.classes,
            about=self.about(),
        )

    @property
    def over(self) -> Over:
        """What is asked of the encoder."""
        return OVER[self.per]

    def about(self) -> dict[str, Any]:
        """What the file says of its making."""
        return about_encoder(self.recipe, self.model.spec, self.per) | {
            "model": self.recipe.name,
            "weights": weights_digest(self.model.encoder),
            "weights_from": self.weights_from,
            "manifest": self.manifest.source.name,
            "manifest_digest": self.manifest.digest(),
        }

    def write(
        self,
        rows: range,
        file: BinaryIO,
        *,
        progress: Progress | None = None,
        failed: Callable[[int, str], None] | None = None,
    ) -> None:
        """Write a part: these rows with their features, as a file of features of its own.

        Args:
            rows: of the manifest.
            file: where to.
            progress: called with rows (done, total).
            failed: told the row of each clip that cannot be read, and why, once that is known.
        """
        manifest, size = self.clips(rows), self.clips_at_once
        nothing = np.zeros((0, self.model.encoded_width(self.over)), np.float32)
        batches = view_batches(manifest, self.recipe, workers=self.workers, batch_size=size)
        with closing(batches), feature_writer(file, self.schema) as writer:
            for start, batch in zip(range(0, len(rows), size), batches, strict=True):
                here = range(start, min(start + size, len(rows)))
                missing, of_row = dict(batch.failures), self._features(batch, manifest)
                if failed:
                    for row, reason in missing.items():
                        failed(rows.start + row, reason)
                writer.write(
                    self.table.slice(rows.start + start, len(here)),
                    [of_row.get(row, nothing) for row in here],
                    [missing.get(row) for row in here],
                )
                if progress:
                    progress(rows.start + here.stop, len(self.manifest))

    def join(self, paths: Sequence[Path]) -> None:
        """Write the file from its parts; ManifestError if no clip could be read at all."""
        files = [read_features(path) for path in paths]
        if not any(file.lengths.any() for file in files):
            raise ManifestError(
                f"{self.manifest.source}: no clip could be read; the first: "
                f"{files[0].errors.get(0)}",
                "marey data check lists them all",
            )
        join_features(paths, self.out)

    def _features(self, batch: Batch, manifest: Manifest) -> dict[int, np.ndarray]:
        if not len(batch.rows):
            return {}
        x = view_features(self.fused, batch.clip, self.recipe, per=self.per, device=self.device)
        _check_range(x.numpy(), self.dtype, manifest, batch.rows)
        return dict(zip(batch.rows.tolist(), x.numpy(), strict=True))


def read_features(path: Path) -> FeatureFile:
    """What a file of features, or a part of one, holds."""
    features = features_of(path, open_table(path))
    assert features is not None
    return features


@torch.inference_mode()
def view_features(
    model: VideoModel, views: Tensor, recipe: Recipe, *, per: Per, device: torch.device | str
) -> Tensor:
    """What the encoder gives, float32 [b v*t d] of views [b v ...], or the means, on the CPU."""
    parts, over = [], OVER[per]
    for clip in model_inputs(model, views, recipe.augment, device):
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=recipe.in_bfloat16):
            parts.append(model.encode(clip, over).float().cpu())
    x = torch.cat(parts)
    x = x.reshape(len(views), -1, x.shape[-1])
    return x.mean(dim=1, keepdim=True) if per == "clip" else x


def _check_range(x: np.ndarray, dtype: DType, manifest: Manifest, rows: Tensor) -> None:
    limit = float(np.finfo(dtype).max)
    wrong = ~(np.abs(x).reshape(len(x), -1).max(axis=1) <= limit)  # NaN too
    if wrong.any():
        path = manifest.path(int(rows[int(wrong.argmax())]))
        raise RunError(
            f"{path}: features that are not finite numbers of {dtype}",
            "float32 holds larger ones (dtype)",
        )
