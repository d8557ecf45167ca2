"""Whether a run computes in float32 or, where that is safe, in bfloat16.

What is faster depends on the machine: bfloat16 is several times as fast on a GPU and on a CPU with
AMX, and slower on most other CPUs. So a run whose recipe has `amp` "auto" takes a few steps of its
model in both before it begins. What it chose stands in the recipe of its folder, so that it goes
on, is tested and is trained again in the same.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace

import torch

from marey.engine.timing import on_gpu, seconds_of
from marey.engine.train.distributed import World
from marey.engine.train.start import Start, clips_a_step
from marey.errors import counted
from marey.longtail.decouple import set_trainable, training_mode
from marey.models.video_model import VideoModel
from marey.recipes.frozen import is_frozen, varies
from marey.recipes.recipe import Stage
from marey.types import Clip

WORTH_SECONDS = 60.0
"""A run whose steps take less together is not worth measuring."""
BUDGET_SECONDS = 6.0
"""What the steps of both may take together, if a single one does not take longer."""
ROUNDS = 3
"""Steps of each that count; the fastest one does, as others share the machine."""
PAYS = 1.1
"""How many times as fast bfloat16 must be: it has three digits to float32's seven."""
_FORCED = "amp=true forces bfloat16"


@dataclass(frozen=True)
class Choice:
    """Whether in bfloat16, and why."""

    amp: bool
    why: str


def with_precision(start: Start, world: World) -> Start:
    """`start` with `amp` decided, and what was measured among its notes.

    Every process must call it: the first one measures, while the others wait.
    """
    if start.recipe.amp != "auto":
        return start
    choice, *_ = world.gather(_choice(start, world) if world.is_main else Choice(False, ""))
    note = f"computed in {'bfloat16 where that is safe' if choice.amp else 'float32'}: {choice.why}"
    recipe = replace(start.recipe, amp=choice.amp)
    return replace(start, recipe=recipe, notes=(*start.notes, note))


def _choice(start: Start, world: World) -> Choice:
    recipe = start.recipe
    stage = next((stage for stage in recipe.stages if stage.epochs), None)
    if stage is None or start.train_set.features is not None:
        return Choice(False, f"there is too little to compute to measure ({_FORCED})")
    if is_frozen(recipe) and not varies(recipe):
        return Choice(False, f"other runs share what the frozen encoder gives of clips ({_FORCED})")
    clips = min(2, recipe.batch_size)  # a batch norm behind the encoder refuses a single one
    trial = _Trial(start, stage, world.device)
    first = trial.seconds(clips, amp=False)  # in which everything starts
    again = first if first > BUDGET_SECONDS else trial.seconds(clips, amp=False)
    steps = len(start.train_set) / clips_a_step(recipe, world)
    of_process = recipe.batch_size * recipe.accumulate
    total = sum(stage.max_steps or stage.epochs * steps for stage in recipe.stages) * of_process
    whole = again / clips * total
    if whole < WORTH_SECONDS:
        return Choice(False, f"all steps take less than a minute ({_FORCED})")
    clips = min(recipe.batch_size, max(clips, int(clips * BUDGET_SECONDS / (2 * ROUNDS * again))))
    plain, half = _both(trial, clips)
    of = counted(clips, "clip")
    if math.isinf(plain):
        return Choice(True, f"{of} do not fit into memory in float32")
    measured = f"{of} took {plain:.2g} s in float32, {half:.2g} s in bfloat16"
    pays = plain > PAYS * half
    other = "amp=false forces float32" if pays else _FORCED
    return Choice(pays, f"{measured} ({other})")


def _both(trial: _Trial, clips: int) -> tuple[float, float]:
    """The seconds of the fastest step in float32 and in bfloat16, taken in turns.

    Float32 takes for ever where it needs more memory than there is.
    """
    taken: dict[bool, list[float]] = {False: [], True: []}
    for number in range(1 + ROUNDS):
        for amp, seconds in taken.items():
            try:
                seconds.append(trial.seconds(clips, amp=amp))
            except torch.OutOfMemoryError:
                if amp:
                    raise
                return math.inf, math.inf
        # the first of each counts only where there is no time for another
        if sum(map(sum, taken.values())) * (number + 2) / (number + 1) > 2 * BUDGET_SECONDS:
            break
    return min(taken[False][1:] or taken[False]), min(taken[True][1:] or taken[True])


class _Trial:
    """Steps of a copy of the model, of which nothing stays: neither statistics nor draws."""

    def __init__(self, start: Start, stage: Stage, device: torch.device) -> None:
        self.model: VideoModel = deepcopy(start.model)
        self.shape = start.recipe.model.clip_shape(start.recipe.train.crop.size)
        self.device = device
        set_trainable(self.model, stage.trainable, stage.last_blocks)
        training_mode(self.model, stage.trainable, stage.last_blocks)

    def seconds(self, clips: int, *, amp: bool) -> float:
        """What a step of so many clips takes, forwards and backwards."""
        with torch.random.fork_rng(devices=[self.device] if on_gpu(self.device) else []):
            torch.manual_seed(0)
            clip = torch.randn(clips, *self.shape, device=self.device)
            wall, _ = seconds_of(lambda: self._step(clip, amp), self.device)
            return wall

    def _step(self, clip: Clip, amp: bool) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=amp):
            scores = self.model(clip)
        total = torch.stack([each.float().square().mean() for each in scores.values()]).sum()
        torch.autograd.backward(total)
        self.model.zero_grad(set_to_none=True)
