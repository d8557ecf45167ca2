"""Features of every clip of a manifest, by a model that is trained already, into one file.

A clip is seen on the recipe's test views, as in evaluation; what the model's `features` give for
all its views stands one after the other, so that a mean over frames is one over views too. Then a
linear head on the file gives the scores of that head on the videos.

The file is made in parts (`marey.jobs.parts`), so an extraction that was killed goes on where it
was, and shards or the nodes of a cluster make the same bytes as one process. A process builds the
model once. Other processors, numbers of threads or batch sizes may round the last bit differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO

import torch

from marey.data.features.feature_file import is_feature_file
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.engine.inference.extractor import DType, Extractor, Per, read_features
from marey.engine.weights.checkpoint import initialize
from marey.engine.weights.imagenet import starting_weights
from marey.engine.weights.trained import load_trained
from marey.errors import RecipeError, RunError
from marey.jobs.executors import HERE, Executor, Here
from marey.jobs.parts import WHOLE, Shard, make_parts
from marey.models.encoders.huggingface import HuggingFaceSpec, read_input
from marey.models.layout import channels_last
from marey.models.video_model import Head, ModelSpec, VideoModel
from marey.recipes.catalog import find
from marey.recipes.compatible import built
from marey.recipes.describe import with_some_head
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.recipes.schema import override
from marey.storage.url import AnyPath
from marey.video.augment import Augment
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments

PART_SECONDS = 4 * 3600.0
"""Longer than any part takes; then it is taken for hanging."""


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
    manifest: str | AnyPath,
    out: Path,
    *,
    weights: str | None = None,
    overrides: Sequence[str] = (),
    root: str | AnyPath | None = None,
    per: Per = "frame",
    dtype: DType = "float16",
    workers: int | None = None,
    batch_size: int | None = None,
    device: str = "cpu",
    executor: Executor = HERE,
    shard: Shard = WHOLE,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction | None:
    """Write the features that `source` sees in all clips of `manifest` to `out`.

    source: the folder of a run or release, a recipe with `weights`, or ``hf:FOLDER`` of an encoder
    of Hugging Face transformers. `overrides` may change the test views, not the model. None if
    other shards have parts to make yet; `device` is that of the processes of `engine`.
    """
    if not is_feature_file(out):
        raise RunError(f"{out} is no name of a file of features", "call it NAME.arrow")
    job = _Job(
        source,
        manifest,
        out,
        weights,
        tuple(overrides),
        root,
        per,
        dtype,
        workers,
        batch_size,
        device,
    )
    if isinstance(executor, Here):
        return _extract(_extractor(job), executor, shard, progress)
    return _extract(_extractor(replace(job, device="cpu")), executor, shard, progress, job)


@dataclass(frozen=True)
class _Job:
    """What is wanted, in words that mean the same on every machine."""

    source: str
    manifest: str | AnyPath
    out: Path
    weights: str | None
    overrides: tuple[str, ...]
    root: str | AnyPath | None
    per: Per
    dtype: DType
    workers: int | None
    batch_size: int | None
    device: str


def _extractor(job: _Job) -> Extractor:
    recipe, model = source_model(job.source, job.weights, job.overrides, job.device)
    return Extractor(
        model,
        recipe,
        read_manifest(job.manifest, at=Location(job.root)),
        job.out,
        per=job.per,
        dtype=job.dtype,
        workers=recipe.data.workers if job.workers is None else job.workers,
        batch_size=job.batch_size or recipe.batch_size,
        device=job.device,
    )


def source_model(
    source: str, weights: str | None, overrides: Sequence[str], device: str
) -> tuple[Recipe, VideoModel]:
    """The recipe and the trained model that `source` means, on `device`.

    RecipeError for a recipe without weights: features of random weights would be of no use.
    """
    if source.startswith("hf:"):
        recipe = override(_hugging_face(Path(source.removeprefix("hf:"))), overrides)
        model = built(recipe.model).to(device).eval()
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
        model = built(with_some_head(recipe.model))
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
    extractor = Extractor(
        model,
        recipe,
        manifest,
        out,
        per=per,
        dtype=dtype,
        workers=workers,
        batch_size=batch_size,
        device=device,
    )
    made = _extract(extractor, HERE, WHOLE, progress)
    assert made is not None  # without shards there are no others to wait for
    return made


def _extract(
    extractor: Extractor,
    executor: Executor,
    shard: Shard,
    progress: Callable[[int, int], None] | None,
    job: _Job | None = None,
) -> Extraction | None:
    """`job` is for processes that have to make the extractor themselves."""
    make = (
        partial(extractor.write, progress=progress)
        if job is None
        else partial(_write, job, extractor.recipe, extractor.parts.digest)
    )
    join = extractor.join
    told = progress if job else None  # else each batch tells it
    parts = extractor.parts
    if not make_parts(
        parts,
        make,
        join,
        executor=executor,
        shard=shard,
        timeout_seconds=PART_SECONDS,
        progress=told,
    ):
        return None
    return _extraction(parts.target)


def _write(job: _Job, _: Recipe, digest: str, rows: range, file: BinaryIO) -> None:
    """The recipe comes along for its classes: unpickling it has imported the user's own."""
    extractor = _kept(job)
    if extractor.parts.digest != digest:
        raise RunError(f"{job.manifest} or {job.source} changed meanwhile", "start again")
    extractor.write(rows, file)


_kept = lru_cache(maxsize=1)(_extractor)
"""The model is built once in a process that works for another."""


def _extraction(path: Path) -> Extraction:
    found = read_features(path)
    frames = found.lengths[found.lengths > 0]
    lengths = int(frames.min()), int(frames.max())
    return Extraction(path, len(found.lengths), lengths, found.dim, dict(found.errors))
