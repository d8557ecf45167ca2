"""The steps of an epoch: their batches, as they come from the loader, and what they came to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from marey.data.loading.clips import Batch, ClipDataset
from marey.data.loading.loader import clip_batches
from marey.data.loading.samplers import EpochSampler
from marey.data.manifest.manifest import Manifest
from marey.errors import RunError
from marey.recipes.recipe import Recipe


def training_batches(
    manifest: Manifest, recipe: Recipe, sampler: EpochSampler, *, pin_memory: bool
) -> Iterator[Batch]:
    """The batches that `sampler` draws, under the recipe's training views."""
    views = recipe.train
    clips = ClipDataset(manifest, views.sampling, views.crop, backend=recipe.data.backend)
    return clip_batches(clips, sampler, workers=recipe.data.workers, pin_memory=pin_memory)


def timed_steps(
    batches: Iterator[Batch], accumulate: int, num_steps: int
) -> Iterator[tuple[list[Batch], float]]:
    """The batches of each step, and the seconds that passed until they were there.

    RunError if a loader process died.
    """
    for _ in range(num_steps):
        start = time.monotonic()
        try:
            together = [next(batches) for _ in range(accumulate)]
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RunError(
                f"a loader worker died: {str(error).splitlines()[0]}",
                "most often memory ran out: lower data.workers, then go on with --resume",
            ) from error
        yield together, time.monotonic() - start


@dataclass
class Totals:
    """Sums over the steps of an epoch."""

    loss: float = 0.0
    steps: int = 0
    clips: int = 0
    waited: float = 0.0
    since: float = field(default_factory=time.monotonic)

    def add(self, loss: float, clips: int, waited: float) -> None:
        """Count one step."""
        self.loss, self.steps = self.loss + loss, self.steps + 1
        self.clips, self.waited = self.clips + clips, self.waited + waited

    def means(self, world_size: int) -> dict[str, float]:
        """Loss a step, clips a second (all processes), share of time spent waiting for data.

        Without a step there is no loss.
        """
        seconds = max(time.monotonic() - self.since, 1e-9)
        return ({"train/loss": self.loss / self.steps} if self.steps else {}) | {
            "clips_per_second": self.clips * world_size / seconds,
            "data_wait": self.waited / seconds,
        }

    def text(self, world_size: int) -> str:
        """The same for the progress bar."""
        means = self.means(world_size)
        return (
            f"loss {means['train/loss']:.3f}  {means['clips_per_second']:.1f} clips/s  "
            f"data wait {means['data_wait']:.0%}"
        )
