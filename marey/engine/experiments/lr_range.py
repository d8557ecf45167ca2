"""The range of rates at which a recipe learns: the test of Smith (arXiv 1506.01186).

The rate grows by the same factor from step to step, from one at which nothing happens to one at
which the loss leaves all bounds. It is the recipe's own `lr`, for `Recipe.lr_batch_size` clips a
step. The loss is averaged over steps (decay 0.9, its start corrected), as each is of other clips;
a tenth of the rate at which this mean is lowest is a good one to begin with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from marey.data.loading.clips import Batch
from marey.engine.train.distributed import join_world
from marey.engine.train.loop import Training
from marey.engine.train.optim import set_rates
from marey.engine.train.precision import with_precision
from marey.engine.train.run_folder import training_error
from marey.engine.train.run_log import RunLog
from marey.engine.train.start import ready
from marey.engine.train.steps import draw_steps
from marey.engine.train.stop_signals import StopFlag
from marey.errors import RunError
from marey.jobs.parts import Progress
from marey.longtail.decouple import training_mode
from marey.recipes.recipe import Recipe
from marey.storage.atomic import make_folder
from marey.storage.temporary import temporary_folder
from marey.types import check_counts, check_numbers

DECAY = 0.9
TOO_HIGH = 4.0
"""The test ends where the mean loss is so many times the lowest."""


@dataclass(frozen=True)
class RateRange:
    """Rates, as `optim.lr` has them, and the mean loss at each."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def best(self) -> float:
        """The rate of the lowest mean loss."""
        return self.rates[self.losses.index(min(self.losses))]

    @property
    def suggested(self) -> float:
        """A tenth of that."""
        return self.best / 10


def range_test(
    recipe: Recipe,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    device: str | None = None,
    progress: Progress | None = None,
) -> RateRange:
    """What comes of so many steps of the first stage of `recipe`, at rates from `low` to `high`.

    Nothing stays of what is trained. RunError if the loss is not finite before the first step.
    """
    check_counts(steps=steps)
    check_numbers(above=0, low=low, high=high)
    own = recipe.stages[0].optim.lr
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    with ExitStack() as stack:
        world = stack.enter_context(join_world(device))
        folder = stack.enter_context(temporary_folder("rates"))
        make_folder(folder / "checkpoints", training_error)
        start = with_precision(ready(recipe, folder, None, world), world)
        log = stack.enter_context(RunLog(folder, quiet=True))
        training = Training(start, folder, world=world, log=log, stop=StopFlag(), save_steps=None)
        for number, batches in zip(range(steps), _batches(training), strict=False):
            rate = low * (high / low) ** (number / max(steps - 1, 1))
            set_rates(training.learner.optimizer, rate / own)
            try:
                loss = training.step(batches)
            except RunError:  # it is not finite
                if not losses:
                    raise
                break
            mean = DECAY * mean + (1 - DECAY) * loss
            rates.append(rate)
            losses.append(mean / (1 - DECAY ** (number + 1)))
            if losses[-1] > TOO_HIGH * min(losses):
                break
            if progress:
                progress(number + 1, steps)
    return RateRange(tuple(rates), tuple(losses))


def _batches(training: Training) -> Iterator[list[Batch]]:
    """Those of one epoch after the other, without end."""
    training_mode(training.model, training.stage.trainable)
    while True:
        steps = draw_steps(training.recipe, training.train_set, training.at, training.world)
        for batches, _ in steps:
            yield batches
        training.at.epoch, training.at.step = training.at.epoch + 1, 0
