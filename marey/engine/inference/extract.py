"""Features of every clip of a manifest, by a model that is trained already, into one file.

A clip is seen on the recipe's test views, as in evaluation; what the model's `features` give for
all its views stands one after the other, so that a mean over frames is one over views too. Then a
linear head on the file gives the scores of that head on the videos.

The file is made in parts (`marey.jobs.parts`), so an extraction that was killed goes on where it
was, and shards or the nodes of a cluster make the same bytes as one process. A process builds the
model once. Other processors, numbers of threads or batch sizes may round the last bit differently.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from marey.data.features.feature_file import is_arrow
from marey.data.manifest.header import NoLabels
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.engine.inference.extractor import DType, Extractor, Per, read_features
from marey.engine.inference.jobs import Options, load_for, run
from marey.engine.weights.origin import origin_of
from marey.engine.weights.starting import differences, initialize, starting_weights
from marey.engine.weights.trained import load_trained
from marey.errors import ManifestError, RecipeError, RunError
from marey.jobs.executors import HERE, Executor
from marey.jobs.parts import Progress
from marey.jobs.shards import WHOLE, Shard
from marey.models.layout import channels_last
from marey.models.video_model import VideoModel
from marey.recipes.catalog import find
from marey.recipes.compatible import built
from marey.recipes.describe import with_some_head
from marey.recipes.huggingface import is_hugging_face
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override
from marey.recipes.short_names import spelled_for_test, spelled_out
from marey.storage.url import AnyPath

log = logging.getLogger("marey")


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


@dataclass(frozen=True, kw_only=True)
class FeatureOptions(Options[Extractor]):
    """Whose features of which clips."""

    source: str
    """The folder of a run or release, a recipe with `weights`, or ``hf:FOLDER`` of an encoder of
    Hugging Face transformers."""
    manifest: str | AnyPath
    out: Path
    """NAME.arrow."""
    weights: str | None = None
    overrides: tuple[str, ...] = ()
    """``key=value`` that change the test views, not the model."""
    root: str | AnyPath | None = None
    per: Per = "frame"
    """One vector each."""
    dtype: DType = "float16"

    def load(self, device: str) -> Extractor:
        """The model and the clips."""
        recipe, model = source_model(self.source, self.weights, self.overrides, device)
        return Extractor(
            model=model,
            recipe=recipe,
            manifest=clips_to_see(self.manifest, Location(self.root), self.source),
            out=self.out,
            per=self.per,
            dtype=self.dtype,
            weights_from=_weights_from(self.source, recipe),
            workers=self.workers,
            batch_size=self.batch_size,
            device=device,
        )


def extract_features(
    options: FeatureOptions,
    *,
    executor: Executor = HERE,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Extraction | None:
    """Write the features of all clips to `options.out`; None if other shards have parts to make.

    Raises:
        RecipeError: if the source has no weights, or overrides change what was trained.
        ManifestError: if the clips are not what the model takes, or none can be read.
        RunError: if `out` is no NAME.arrow, is there already (unless `overwrite`) or cannot be
            written, or a feature is not finite.
    """
    if not is_arrow(options.out):
        raise RunError(f"{options.out} is no name of a file of features", "call it NAME.arrow")
    job = load_for(options, executor)
    parts = replace(job.parts(options.out), overwrite=overwrite)
    made = run(job, options, parts, job.join, executor=executor, shard=shard, progress=progress)
    return extraction(options.out) if made else None


def clips_to_see(path: str | AnyPath, at: Location, source: str) -> Manifest:
    """The clips of a manifest, with its labels if it has any, which features do not need.

    Labels that are words, without a list of class names, are taken for the classes of `source`.
    """
    try:
        return read_manifest(path, at=at)
    except NoLabels:
        log.warning("%s has no labels: the features are of clips without any", path)
        return read_manifest(path, heads={}, at=at)
    except ManifestError as error:
        if not _is_trained(source):
            raise
        try:
            return read_manifest(path, heads=origin_of(Path(source)).classes, at=at)
        except ManifestError:
            raise error from None


def _is_trained(source: str) -> bool:
    return Path(source).is_dir() and not is_hugging_face(Path(source))


def source_model(
    source: str, weights: str | None, overrides: Sequence[str], device: str
) -> tuple[Recipe, VideoModel]:
    """The recipe and the trained model that `source` means, on `device` and the test's frames.

    RecipeError for a recipe without weights: features of random weights would be of no use.
    """
    if _is_trained(source):
        trained = load_trained(source, device)
        recipe, model = trained.recipe, trained.model
        recipe = override(recipe, spelled_for_test(recipe, overrides))
    else:
        recipe = find(source)
        recipe = replace(recipe, weights=weights or recipe.weights)
        recipe = override(recipe, spelled_out(recipe, overrides))
        file = starting_weights(recipe)
        if file is None:
            raise RecipeError(
                f"{recipe.name} starts from nothing", "give weights: a file, or imagenet"
            )
        if differing := differences(recipe, origin_of(file)):
            raise RecipeError(
                f"{file} holds weights of another model: {'; '.join(differing)}",
                f"make features with the model itself: marey features {file}",
            )
        model = built(with_some_head(recipe.model))
        initialize(model, file)
        model = channels_last(model).to(device).eval()
    if recipe.model.encoder != model.spec.encoder or recipe.model.frames != model.spec.frames:
        raise RecipeError(f"{', '.join(overrides)} changes the model, which is trained already")
    return recipe, model.with_frames(recipe.test.sampling.frames)


def _weights_from(source: str, recipe: Recipe) -> str:
    """Where the weights of `source` are found again, from any folder of this machine."""
    named = source if _is_trained(source) else recipe.weights
    return str(Path(named).absolute()) if Path(named).exists() else named


def extraction(path: Path) -> Extraction:
    """What a file of features came to."""
    features = read_features(path)
    frames = features.lengths[features.lengths > 0]
    return Extraction(
        path=path,
        num_clips=len(features.lengths),
        frames=(int(frames.min()), int(frames.max())),
        dim=features.dim,
        missing=dict(features.errors),
    )
