"""A trained model looks at many clips, in parts: what evaluation, prediction and features share.

    Options      what is wanted, in plain values, so that another process can be told
       |  load
       v
    ClipJob      the model, its recipe and the clips; `write` makes what comes of some rows
       |  run    by this process or by those of an executor, see `marey.jobs.parts`
       v
    the target   joined of the parts

`evaluate_run`, `predict_many` and `extract` say what differs: the options, how they are loaded,
what is written of some rows, what else the result depends on, and how parts are joined. So each of
them goes on where it was killed, and shards or the nodes of a cluster give the bytes of one
process, where processors, numbers of threads and batch sizes are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import numpy as np
import torch

from marey.data.manifest.manifest import Manifest
from marey.engine.environment import default_device
from marey.engine.inference.scoring import ScoreArrays, clips_at_once, score_clips
from marey.engine.runtimes.brought import brought_by, scorer_of
from marey.engine.runtimes.exported import Exported
from marey.engine.runtimes.scorer import Scorer
from marey.engine.weights.checkpoint import weights_digest
from marey.errors import ManifestError
from marey.jobs.executors import Executor, Here
from marey.jobs.half_done import input_digest
from marey.jobs.parts import Join, Parts, Progress, make_parts
from marey.jobs.shards import Shard
from marey.models.fused import fused
from marey.models.video_model import VideoModel
from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_plain
from marey.storage.atomic import run_error
from marey.types import check_numbers

PART_ROWS, FEW_ROWS, PARTS = 1024, 16, 16
"""Clips of a part at most, and of one of a small set at least, which has as many `PARTS`: what is
stopped is to lose little. They are rounded up to whole batches, so that these are those of one
pass."""
PART_SECONDS = 4 * 3600.0
"""Longer than any part takes; then its process is taken for hanging."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipJob:
    """A trained model and the clips that it is to look at."""

    model: VideoModel
    recipe: Recipe
    """Its test views are how clips are shown."""
    manifest: Manifest
    workers: int | None = None
    batch_size: int | None = None
    """As `Options` have them."""
    device: torch.device | str = "cpu"
    folder: Path | None = None
    """Where the weights lie; it may bring a form of the model that scores faster here."""
    exported: Exported | None = None
    """What scores in place of the weights, which `model` does not have then."""

    def write(self, rows: range, file: BinaryIO, *, progress: Progress | None = None) -> None:
        """Write what comes of these rows, a part; `progress` counts rows of the whole."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, object]:
        """What a part depends on beside recipe, batches and roots: clips, weights, options."""
        raise NotImplementedError

    @property
    def clips_at_once(self) -> int:
        """The size of batches."""
        return clips_at_once(self.recipe, self.batch_size)

    @cached_property
    def fused(self) -> VideoModel:
        """The model as it looks at clips: its fast form, on the frames of the test views."""
        return fused(self.model.with_frames(self.recipe.test.sampling.frames))

    @cached_property
    def scorer(self) -> Scorer:
        """What scores the clips."""
        if self.exported is not None:
            return self.exported.scorer(self.recipe)
        device = torch.device(self.device)
        return scorer_of(self.model, self.recipe, folder=self.folder, device=device)

    @cached_property
    def weights(self) -> str:
        """The digest of the weights, or of the file that scores in their place."""
        return self.exported.digest if self.exported else weights_digest(self.model)

    @cached_property
    def digest(self) -> str:
        """Of all that changes a byte of a part."""
        facts = {
            "recipe": to_plain(self.recipe),
            "where": self.manifest.where(),
            "batch_size": self.clips_at_once,
            "brought": brought_by(self.folder),
        }
        return input_digest(facts | dict(self.facts()))

    def parts(self, target: Path, **more: str) -> Parts:
        """The parts of `target`; `more` is what only the joined file depends on."""
        rows = min(PART_ROWS, max(FEW_ROWS, len(self.manifest) // PARTS))
        size = -(-rows // self.clips_at_once) * self.clips_at_once
        digest = input_digest({"parts": self.digest, **more})
        return Parts(target, len(self.manifest), size, digest, run_error)

    def clips(self, rows: range) -> Manifest:
        """These rows of the manifest."""
        return self.manifest.take(np.arange(rows.start, rows.stop))

    def scores(
        self, rows: range, *, progress: Progress | None = None
    ) -> tuple[ScoreArrays, dict[int, str]]:
        """As `score_clips`, of these rows; the first of them is row 0 of what is returned."""
        return score_clips(
            self.scorer,
            self.clips(rows),
            self.recipe,
            device=self.device,
            workers=self.workers,
            batch_size=self.batch_size,
            progress=progress and (lambda done, _: progress(rows.start + done, len(self.manifest))),
        )


J = TypeVar("J", bound=ClipJob)


@dataclass(frozen=True, kw_only=True)
class Options(Generic[J]):
    """What is wanted, in plain values that another process can be told."""

    workers: int | None = None
    """Processes that read clips, 0 for none; by default as many as the recipe says."""
    batch_size: int | None = None
    """Clips at once; by default as many as the recipe says, fewer where they have many views."""
    device: str = field(default_factory=default_device)
    """Where the model runs; by default cuda where there is one."""

    def __post_init__(self) -> None:
        check_numbers(at_least=0, workers=self.workers)
        check_numbers(at_least=1, batch_size=self.batch_size)

    def load(self, device: str) -> J:
        """The job, its model on `device`."""
        raise NotImplementedError


def load_for(options: Options[J], executor: Executor) -> J:
    """The job; its model is on the options' device only if this process is to run it."""
    return options.load(options.device if isinstance(executor, Here) else "cpu")


def run(
    job: J,
    options: Options[J],
    parts: Parts,
    join: Join,
    *,
    executor: Executor,
    shard: Shard,
    progress: Progress | None,
) -> bool:
    """Make the parts by `job.write`, and `join` them; as `marey.jobs.parts.make_parts`.

    Processes of an executor load the job from `options` themselves, once each. ManifestError if
    what they load is not what this process loaded.
    """
    here = isinstance(executor, Here)
    return make_parts(
        parts,
        partial(job.write, progress=progress)
        if here
        else partial(_write, options, job.recipe, job.digest),
        join,
        executor=executor,
        shard=shard,
        timeout_seconds=PART_SECONDS,
        progress=None if here else progress,  # here each batch tells it
    )


def _write(options: Options[J], _: Recipe, digest: str, rows: range, file: BinaryIO) -> None:
    """The recipe comes along for its classes: unpickling it has imported the user's own."""
    job = _loaded(options)
    if job.digest != digest:
        clips = job.manifest.source
        raise ManifestError(f"the model or the clips of {clips} changed meanwhile", "start again")
    job.write(rows, file)


@lru_cache(maxsize=1)
def _loaded(options: Options[J]) -> J:
    """A process that works for another loads the model once."""
    return options.load(options.device)
