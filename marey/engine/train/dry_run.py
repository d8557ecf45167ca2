"""What a run would be: shapes, steps, parameters, memory and time; nothing is written.

Shapes, steps and parameters are counted, the memory as well (on the meta device, without the
workspaces of kernels). The time is that of a few steps that are really taken, on clips of the
training set, by a model that is then thrown away.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.scoring import clips_at_once
from marey.engine.timing import on_gpu, wait
from marey.engine.train.distributed import World, join_world
from marey.engine.train.learner import Learner
from marey.engine.train.precision import with_precision
from marey.engine.train.start import Start, clips_a_step, ready
from marey.engine.train.steps import Position, draw_steps
from marey.errors import DecodeError, RunError, counted
from marey.jobs.allocator import keep_freed_memory
from marey.jobs.memory import memory_bytes
from marey.longtail.decouple import set_trainable, training_mode
from marey.models.profile import num_parameters
from marey.models.shapes import shapes_only
from marey.models.video_model import VideoModel
from marey.recipes.frozen import is_frozen, train_views, trains_on, varies
from marey.recipes.recipe import Recipe, Stage
from marey.recipes.suggest import step_bytes
from marey.recipes.val_views import val_views
from marey.terminal import duration
from marey.video.augment import augment

STEPS, MOST_STEPS = 3, 10
"""That are taken, and tried where clips cannot be read: the first, in which everything starts, does
not count."""
ENOUGH_SECONDS = 60.0
"""For them together: one that takes as long counts alone."""
FEW = 2
"""Clips of a step where a frozen encoder looks at each clip once, and all would take no longer."""


def dry_run(recipe: Recipe, work_dir: Path, *, device: str | None = None) -> Iterator[str]:
    """What training `recipe` into `work_dir` would be, a line at a time, the slow ones last.

    Raises:
        MareyError: the run could not begin, as `marey.engine.train.loop.train` says.
    """
    with join_world(device) as world:
        if world.device.type == "cpu":
            keep_freed_memory()
        known = ready(recipe, work_dir, None, world)
        start = with_precision(known, world)
        recipe, clips = start.recipe, len(start.train_set)
        yield f"clips       {clips:,} to train on, {_count(start.val_set)} to validate on"
        clip = _clip_shape(recipe, start.train_set)
        shape = [recipe.batch_size, *clip]
        heads = ", ".join(f"{head.name} {head.num_classes}" for head in recipe.model.heads)
        yield f"shapes      batches {shape}, scores of {heads}"
        num_steps = []
        for number, stage in enumerate(recipe.stages):
            steps = draw_steps(recipe, start.train_set, Position(stage=number), world).num_steps
            num_steps.append(stage.num_steps(steps))
            what = _stage(stage, start.model, steps, clips_a_step(recipe, world))
            yield f"stage {number}     {what}"
        needed, what = _memory(start, clip, world)
        of_each = " of each process" * (world.size > 1)
        yield f"memory      {needed >> 20:,} MiB {what}{of_each}, of {_there(world) >> 20:,} MiB"
        for note in start.notes[len(known.notes) :]:
            yield f"precision   {note}"
        yield f"time        {_time(start, world, sum(num_steps))}"


def _memory(start: Start, clip: Sequence[int], world: World) -> tuple[int, str]:
    """The most bytes that the run needs in a process, and what for; `clip` is the shape of one.

    A frozen encoder looks at few clips at once, whatever the batch; a step is then one of features.
    """
    recipe = start.recipe
    if not _looks_once(start):
        return step_bytes(recipe, recipe.batch_size, clip, processes=world.size), "for a step"
    frames = clip[0]
    needs: dict[str, int] = {}
    for views in (*train_views(recipe), *([] if start.val_set is None else [val_views(recipe)])):
        at_once = clips_at_once(replace(recipe, test=views))
        shown = at_once * views.sampling.clips * views.crop.views * views.sampling.frames
        shape = (frames, clip[1], views.crop.size, views.crop.size)
        what = f"to look at {counted(at_once, 'clip')} at once"
        needed = step_bytes(recipe, -(-shown // frames), shape)
        needs[what] = max(needed, needs.get(what, 0))
    with shapes_only():
        model = start.model.spec.build().eval()
    with torch.no_grad():
        encoded = model.encode(torch.empty((1, *clip), device="meta"))
    needs["for a step"] = step_bytes(recipe, recipe.batch_size, encoded.shape[1:])
    what = max(needs, key=needs.__getitem__)
    return needs[what], what


def _looks_once(start: Start) -> bool:
    """Whether the run looks at each clip once, and then takes steps of features."""
    recipe = start.recipe
    return is_frozen(recipe) and not varies(recipe) and start.train_set.features is None


def _there(world: World) -> int:
    """Bytes of the card that a process computes on, or of this machine."""
    if on_gpu(world.device):
        return int(torch.cuda.get_device_properties(world.device).total_memory)
    return memory_bytes()


def _clip_shape(recipe: Recipe, clips: Manifest) -> tuple[int, ...]:
    """That of a clip as the model is given it: of its frames, or of what is stored of them.

    RunError if nothing is stored of any clip.
    """
    features = clips.features
    if features is None:
        return recipe.model.clip_shape(recipe.train.crop.size)
    sampling = trains_on(recipe, clips).train.sampling
    for row in range(len(clips)):
        with suppress(DecodeError):
            return (sampling.indices(features.num_frames(row)).shape[1], features.dim)
    raise RunError(f"{clips.source} holds features of none of its clips", "make it again")


def _count(manifest: Manifest | None) -> str:
    return "none" if manifest is None else f"{len(manifest):,}"


def _stage(stage: Stage, model: VideoModel, steps: int, clips: int) -> str:
    set_trainable(model, stage.trainable, stage.last_blocks)
    learn = sum(w.numel() for w in model.parameters() if w.requires_grad)
    frozen = num_parameters(model) - learn
    long = f"{counted(stage.epochs, 'epoch')} of {counted(steps, 'step')} of"
    if stage.max_steps is not None:
        long = f"{counted(stage.max_steps, 'step')}, {steps:,} an epoch, of"
    return f"{long} {counted(clips, 'clip')}; {learn:,} parameters learn, {frozen:,} are frozen"


def _time(start: Start, world: World, num_steps: int) -> str:
    """How long all steps take, by those of the first stage that has some; validation aside."""
    recipe = start.recipe
    stages = [number for number, stage in enumerate(recipe.stages) if stage.epochs]
    if not stages:
        return "unknown: there are no steps"
    looks_once = _looks_once(start)
    if looks_once:  # then a step of all features is nothing, and one of clips is as long as a run
        recipe = replace(recipe, batch_size=min(recipe.batch_size, FEW))
    seconds = _step_seconds(replace(start, recipe=recipe), world, stages[0])
    if looks_once:
        clips = len(start.train_set) * len(train_views(recipe)) + len(start.val_set or ())
        each = seconds / clips_a_step(recipe, world)
        return (
            f"{duration(clips * each)} to look at each clip once, by {each:.2g} s a clip as "
            "measured now; the epochs take seconds"
        )
    return (
        f"{duration(num_steps * seconds)}, by steps of {seconds:.2g} s as measured now, "
        "validation not counted"
    )


def _step_seconds(start: Start, world: World, number: int) -> float:
    """What a step of a stage takes, reading included."""
    stage, model = start.recipe.stages[number], start.model
    recipe = trains_on(start.recipe, start.train_set)
    counts = {
        head.name: torch.from_numpy(start.train_set.class_counts(head.name))
        for head in recipe.model.heads
    }
    num_classes = {head.name: head.num_classes for head in recipe.model.heads}
    learner = Learner(
        stage,
        model,
        counts,
        world,
        lr_scale=1.0,
        checkpointing=recipe.checkpointing,
        recompute=recipe.recompute,
        compile=recipe.compile,
        sharded=recipe.shard,
    )
    training_mode(model, stage.trainable, stage.last_blocks)
    taken: list[float] = []
    steps = draw_steps(recipe, start.train_set, Position(stage=number), world)
    for batches, waited in islice(steps, MOST_STEPS):
        began = time.monotonic()
        if not all(len(batch.rows) for batch in batches):  # of so few clips all may be unreadable
            continue
        for batch in (each.to(world.device) for each in batches):
            with learner.accumulating(last=True, amp=recipe.in_bfloat16):
                clip, labels = augment(
                    batch.clip[:, 0],
                    batch.labels,
                    recipe.augment,
                    batch.seeds,
                    num_classes=num_classes,
                )
                learner.loss(clip, labels).backward()
        learner.update(recipe.clip_grad)
        wait(world.device)
        taken.append(waited + time.monotonic() - began)
        if len(taken) == STEPS or sum(taken) > ENOUGH_SECONDS:
            break
    if not taken:
        raise RunError("no clip of the first batches could be read", "marey data check lists why")
    return statistics.median(taken[1:] or taken)
