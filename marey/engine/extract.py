"""Features of every clip of a manifest, by a model that is trained already, into one file.

A clip is seen on the recipe's test views, as in evaluation; what the model's `features` give for
all its views stands one after the other, so that a mean over frames is one over views too. Then a
linear head on the file gives the scores of that head on the videos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from marey.data.features import feature_writer, is_feature_file
from marey.data.manifest import Manifest, manifest_table, read_manifest
from marey.engine.checkpoint import initialize
from marey.engine.evaluate import model_inputs, test_batches
from marey.engine.fitting import check_clips
from marey.engine.imagenet import starting_weights
from marey.engine.release import load_trained
from marey.errors import ManifestError, RecipeError, RunError
from marey.models.huggingface import HuggingFaceSpec, read_input
from marey.models.layout import channels_last
from marey.models.video_model import Head, ModelSpec, VideoModel
from marey.recipes.catalog import find
from marey.recipes.describe import with_some_head
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.recipes.schema import override, to_plain
from marey.video.augment import Augment
from marey.video.crops import CenterCrop
from marey.video.sampling import Segments

Per = Literal["frame", "clip"]
DType = Literal["float16", "float32"]


@dataclass(frozen=True)
class Extraction:
    """What a file of features came to."""

    path: Path
    num_clips: int
    frames: tuple[int, int]
    """Fewest and most vectors of a clip."""
    dim: int
    missing: dict[int, str]
    """Row -> why the clip could not be read; it is in the file, without features."""


def extract_folder(
    source: str,
    manifest: Path,
    out: Path,
    *,
    weights: str | None = None,
    overrides: Sequence[str] = (),
    root: Path | None = None,
    per: Per = "frame",
    dtype: DType = "float16",
    workers: int | None = None,
    batch_size: int | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Write the features that `source` sees in all clips of `manifest` to `out`.

    source: the folder of a run or release, a recipe with `weights`, or ``hf:FOLDER`` of an encoder
    of Hugging Face transformers. `overrides` may change the test views, not the model.
    """
    if not is_feature_file(out):
        raise RunError(f"{out} is no name of a file of features", "call it NAME.arrow")
    recipe, model = source_model(source, weights, overrides, device)
    clips = read_manifest(manifest, root=root, check_files=False)
    return extract(
        model,
        recipe,
        clips,
        out,
        per=per,
        dtype=dtype,
        workers=recipe.data.workers if workers is None else workers,
        batch_size=batch_size or recipe.batch_size,
        device=device,
        progress=progress,
    )


def source_model(
    source: str, weights: str | None, overrides: Sequence[str], device: str
) -> tuple[Recipe, VideoModel]:
    """The recipe and the trained model that `source` means, on `device`.

    RecipeError for a recipe without weights: features of random weights would be of no use.
    """
    if source.startswith("hf:"):
        recipe = override(_hugging_face(Path(source.removeprefix("hf:"))), overrides)
        model = recipe.model.build().to(device).eval()
    elif Path(source).is_dir():
        trained = load_trained(source, device)
        recipe, model = override(trained.recipe, overrides), trained.model
    else:
        recipe = find(source)
        recipe = override(replace(recipe, weights=weights or recipe.weights), overrides)
        file = starting_weights(recipe)
        if file is None:
            raise RecipeError(
                f"{recipe.name} starts from nothing", "give --weights FILE or imagenet"
            )
        model = with_some_head(recipe.model).build()
        initialize(model, file)
        model = channels_last(model).to(device).eval()
    if recipe.model.encoder != model.spec.encoder or recipe.model.frames != model.spec.frames:
        raise RecipeError(f"{', '.join(overrides)} changes the model, which is trained already")
    return recipe, model


def _hugging_face(folder: Path) -> Recipe:
    """The views on which an encoder of transformers was trained: one clip, its centre."""
    seen = read_input(folder)
    sampling = Segments(seen.num_frames)
    return Recipe(
        name=f"hf:{folder.name}",
        model=ModelSpec(HuggingFaceSpec(str(folder)), (), seen.num_frames, (Head(),)),
        train=Views(sampling),
        test=TestViews(sampling, CenterCrop(seen.size, round(seen.size * 8 / 7))),
        augment=Augment(mean=seen.mean, std=seen.std),
        batch_size=4,
    )


def extract(
    model: VideoModel,
    recipe: Recipe,
    manifest: Manifest,
    out: Path,
    *,
    per: Per = "frame",
    dtype: DType = "float16",
    workers: int = 2,
    batch_size: int = 8,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Write the features of every clip, row by row; the file is whole or not there."""
    check_clips(model.spec, manifest)
    rows, dim = manifest_table(manifest, out.parent), model.encoder.num_features
    missing: dict[int, str] = {}
    lengths: set[int] = set()
    batches = test_batches(manifest, recipe.test, batch_size, workers, recipe.data.backend)
    with feature_writer(out, rows.schema, dim=dim, dtype=dtype, classes=manifest.classes,
                        about=_about(model, recipe, manifest, per)) as writer:  # fmt: skip
        for start, batch in zip(range(0, len(rows), batch_size), batches, strict=True):
            missing |= dict(batch.failures)
            found = np.zeros((0, 0, dim), np.float32)
            if len(batch.rows):
                found = view_features(model, batch.clip, recipe, per=per, device=device).numpy()
                _check_range(found, dtype, manifest, batch.rows)
                lengths.add(found.shape[1])
            of_row = dict(zip(batch.rows.tolist(), found, strict=True))
            here = range(start, min(start + batch_size, len(rows)))
            nothing = np.zeros((0, dim), np.float32)
            writer.write(
                rows.slice(start, len(here)),
                [of_row.get(row, nothing) for row in here],
                [missing.get(row) for row in here],
            )
            if progress:
                progress(here.stop, len(rows))
        if not lengths:
            raise ManifestError(f"{manifest.source}: no clip could be read; the first: "
                                f"{missing.get(0)}", "marey data check lists them all")  # fmt: skip
    return Extraction(out, len(rows), (min(lengths), max(lengths)), dim, missing)


@torch.inference_mode()
def view_features(
    model: VideoModel, views: Tensor, recipe: Recipe, *, per: Per, device: torch.device | str
) -> Tensor:
    """Features float32 [b v*t d] of views [b v ...], or their means [b 1 d], on the CPU."""
    model.eval()
    parts = []
    for clip in model_inputs(model, views, recipe.augment, device):
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=recipe.amp):
            parts.append(model.features(clip).float().cpu())
    found = torch.cat(parts)
    found = found.reshape(len(views), -1, found.shape[-1])
    return found if per == "frame" else found.mean(dim=1, keepdim=True)


def weights_digest(module: nn.Module) -> str:
    """Sha256 of the names and values of a module's weights."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _about(model: VideoModel, recipe: Recipe, manifest: Manifest, per: Per) -> dict[str, Any]:
    return {
        "model": recipe.name,
        "encoder": to_plain(replace(model.spec, heads=()))["encoder"],
        "weights": weights_digest(model.encoder),
        "views": to_plain(recipe.test),
        "per": per,
        "manifest": manifest.source.name,
        "manifest_digest": manifest.digest(),
    }


def _check_range(found: np.ndarray, dtype: DType, manifest: Manifest, rows: Tensor) -> None:
    limit = float(np.finfo(dtype).max)
    wrong = ~(np.abs(found).reshape(len(found), -1).max(axis=1) <= limit)  # NaN too
    if wrong.any():
        path = manifest.path(int(rows[int(wrong.argmax())]))
        raise RunError(f"{path}: features that are not finite numbers of {dtype}",
                       "float32 holds larger ones: --dtype float32")  # fmt: skip
