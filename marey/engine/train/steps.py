"""How far a run is, the steps of an epoch with their batches, and what they came to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from marey.data.loading.clips import Batch, ClipDataset
from marey.data.loading.loader import clip_batches
from marey.data.loading.samplers import EpochSampler, draw_epoch
from marey.data.manifest.manifest import Manifest
from marey.engine.train.distributed import World
from marey.errors import RecipeError, counted
from marey.recipes.recipe import Recipe


@dataclass
class Position:
    """How far a run is; `step` counts within the epoch, `global_step` over the whole run.

    best: the best mean of validations of the stage, as `marey.engine.train.best_epoch` has it.
    recent: the numbers of its last validations.
    measured: what the stage's validations gave, for a schedule that follows them.
    reduced: what rates were multiplied by before the first of these.
    began: the global step at which the stage began; 0 in runs of an older marey.
    since_best: how many validations ago that was.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    global_step: int = 0
    best: float = -math.inf
    recent: list[float] = field(default_factory=list)
    since_best: int = 0
    measured: list[float] = field(default_factory=list)
    reduced: float = 1.0
    began: int = 0

    @property
    def stage_step(self) -> int:
        """The steps that the stage has taken."""
        return self.global_step - self.began


@dataclass(frozen=True)
class Steps:
    """The steps of an epoch; `batches` are those of the steps that are left."""

    num_steps: int
    num_left: int
    accumulate: int
    batches: Generator[Batch]
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around every wait."""

    def __iter__(self) -> Iterator[tuple[list[Batch], float]]:
        """The batches of each step that is left, and the seconds that passed until they were there.

        RunError if a loader process was killed, or clips are out of reach.
        """
        with closing(self.batches):
            for _ in range(self.num_left):
                start = time.monotonic()
                with self.waiting():
                    together = [next(self.batches) for _ in range(self.accumulate)]
                yield together, time.monotonic() - start


def draw_steps(
    recipe: Recipe,
    train_set: Manifest,
    at: Position,
    world: World,
    *,
    suspects: Collection[int] = (),
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Steps:
    """The steps of the epoch at `at`: drawn by the stage's sampler, read as the recipe trains.

    None beyond the stage's `max_steps`.

    `suspects` are rows on which a worker was killed before, see `clip_batches`; every wait for
    batches is in a block of `waiting`.
    """
    keys = _epoch_keys(recipe, train_set, at, world)
    views, data = recipe.train, recipe.data
    clips = ClipDataset(
        train_set,
        views.sampling,
        views.crop,
        backend=data.backend,
        modality=recipe.model.modality,
        flow=data.flow,
    )
    pin_memory = world.device.type == "cuda"
    batches = clip_batches(
        clips,
        keys,
        workers=data.workers,
        pin_memory=pin_memory,
        clip_seconds=data.clip_seconds,
        suspects=suspects,
    )
    num_steps = keys.num_steps // recipe.accumulate
    num_left, max_steps = num_steps - at.step, recipe.stages[at.stage].max_steps
    if max_steps is not None:
        num_left = max(0, min(num_left, max_steps - at.stage_step))
    return Steps(num_steps, num_left, recipe.accumulate, batches, waiting)


def fitting_batch(recipe: Recipe, train_set: Manifest, world: World) -> tuple[Recipe, str]:
    """The recipe with batches that the clips of every stage fill, and what is said of smaller ones.

    Fewer are accumulated only where batches of one clip are too many yet.
    """
    clips = min((len(_epoch_rows(recipe, train_set, at)) for at in _stages(recipe)), default=0)
    of_process = clips // world.size
    if not clips or recipe.batch_size * recipe.accumulate <= of_process or not of_process:
        return recipe, ""
    accumulate = min(recipe.accumulate, of_process)
    size = of_process // accumulate
    said = f"batches of {size}, not {recipe.batch_size}"
    if accumulate != recipe.accumulate:
        said += f", and {accumulate} a step, not {recipe.accumulate}"
    return (
        replace(recipe, batch_size=size, accumulate=accumulate),
        f"{said}: an epoch has {counted(clips, 'clip')}",
    )


def _stages(recipe: Recipe) -> Iterator[Position]:
    """The beginning of each stage that has steps."""
    for number, stage in enumerate(recipe.stages):
        if stage.epochs:
            yield Position(stage=number)


def check_steps(recipe: Recipe, train_set: Manifest, world: World) -> None:
    """RecipeError if the clips of an epoch, in any stage, are too few for one step."""
    for at in _stages(recipe):
        _epoch_keys(recipe, train_set, at, world)


def epochs_of_stages(recipe: Recipe, train_set: Manifest, world: World) -> list[int]:
    """The epochs that each stage comes to; `max_steps` may end the last of them before its time."""
    epochs = [stage.epochs for stage in recipe.stages]
    for at in _stages(recipe):
        if (most := recipe.stages[at.stage].max_steps) is not None:
            of_epoch = _epoch_keys(recipe, train_set, at, world).num_steps // recipe.accumulate
            epochs[at.stage] = -(-most // of_epoch)
    return epochs


def _epoch_keys(recipe: Recipe, train_set: Manifest, at: Position, world: World) -> EpochSampler:
    rows = _epoch_rows(recipe, train_set, at)
    keys = EpochSampler(
        rows,
        recipe.batch_size,
        seed=mixed_seed(recipe.seed, at.stage),
        epoch=at.epoch,
        rank=world.rank,
        world_size=world.size,
        start_step=at.step * recipe.accumulate,
    )
    if keys.num_steps < recipe.accumulate:
        raise RecipeError(
            f"{counted(len(rows), 'clip')} in {counted(keys.num_steps, 'batch', 'batches')}, "
            f"fewer than the {recipe.accumulate} that accumulate asks for a step",
            f"lower accumulate to {keys.num_steps} or less",
        )
    return keys


def _epoch_rows(recipe: Recipe, train_set: Manifest, at: Position) -> npt.NDArray[np.int64]:
    """The rows of an epoch, as the sampler of its stage draws them."""
    seed, sampler = mixed_seed(recipe.seed, at.stage), recipe.stages[at.stage].sampler
    return draw_epoch(sampler, train_set.labels, train_set.sources, seed=seed, epoch=at.epoch)


def mixed_seed(*numbers: int) -> int:
    """A seed that depends on all the numbers and their order.

    Sums would not do: step 2 of process 1 and step 1 of process 2 would drop out alike.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass
class Totals:
    """Sums over the steps of an epoch."""

    loss: float = 0.0
    steps: int = 0
    clips: int = 0
    waited: float = 0.0
    since: float = field(default_factory=time.monotonic)
    until: float | None = None
    """When the last step was done; None while there are more."""

    @classmethod
    def of(cls, sums: Mapping[str, float]) -> Totals:
        """What `sums` gave in an earlier sitting of the run; zeros if it gave nothing."""
        whole = {name: int(sums.get(name, 0)) for name in ("steps", "clips")}
        loss, waited = sums.get("loss", 0.0), sums.get("waited", 0.0)
        return cls(loss, waited=waited, **whole, since=time.monotonic() - sums.get("seconds", 0.0))

    def sums(self) -> dict[str, float]:
        """All of it in plain numbers, which mean the same in another process."""
        parts = {name: getattr(self, name) for name in ("loss", "steps", "clips", "waited")}
        return parts | {"seconds": self.seconds}

    @property
    def seconds(self) -> float:
        """The time of the steps, those of earlier sittings of the run included."""
        return (self.until or time.monotonic()) - self.since

    def end(self) -> None:
        """Stop the clock: what time goes into from now on is no step."""
        self.until = time.monotonic()

    def add(self, loss: float, clips: int, waited: float) -> None:
        """Count one step."""
        self.loss, self.steps = self.loss + loss, self.steps + 1
        self.clips, self.waited = self.clips + clips, self.waited + waited

    def means(self, world_size: int) -> dict[str, float]:
        """Loss a step, clips a second (all processes), share of time spent waiting for data.

        Without a step there is no loss.
        """
        seconds = max(self.seconds, 1e-9)
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
