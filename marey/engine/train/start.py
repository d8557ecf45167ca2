"""All that can be known to be wrong with a run before anything of it is written.

So an attempt that fails (a model that cannot be built, fewer clips than a batch, weights that are
not there) leaves nothing that the next one has to be told about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from marey.data.manifest.manifest import Manifest
from marey.engine.train.best_epoch import check_choice, choice_in_words, follow_anew
from marey.engine.train.changes import FOLLOWED, MEASURES
from marey.engine.train.distributed import World
from marey.engine.train.run_folder import refuse_run
from marey.engine.train.saved import (
    DataFacts,
    Saved,
    check_clips,
    data_facts,
    position,
    read_saved,
    recipe_changes,
    refuse_other_run,
)
from marey.engine.train.sharded import shard_in_words
from marey.engine.train.steps import Position, check_steps, epochs_of_stages, fitting_batch
from marey.engine.train.validation import unvalidated_in_words, validation_in_words
from marey.engine.weights.checkpoint import last_checkpoint
from marey.engine.weights.encoders import behind_its_encoder, check_encoder
from marey.engine.weights.starting import initialize, starting_weights
from marey.errors import RecipeError, counted
from marey.jobs.cores import num_cores, num_loaders
from marey.models.layout import channels_last
from marey.models.video_model import VideoModel
from marey.recipes.compatible import (
    add_lora,
    built,
    check_has_effect,
    check_kept,
    check_learning,
    check_tested,
)
from marey.recipes.recipe import Recipe
from marey.recipes.resolve import read_data, resolve
from marey.recipes.schema import to_readable_yaml
from marey.recipes.suggest import from_nothing
from marey.recipes.testing import segments_in_words
from marey.recipes.val_views import with_val


@dataclass(frozen=True, eq=False, kw_only=True)
class Start:
    """What a run begins with or, where `saved` is a checkpoint, goes on with."""

    recipe: Recipe
    """Resolved by the training clips; its views of validation are said."""
    train_set: Manifest
    val_set: Manifest | None
    data: DataFacts
    """Of both."""
    model: VideoModel
    """On its device, with the weights of the start; its batch norms are not yet synchronised."""
    saved: Saved | None
    at: Position
    notes: tuple[str, ...]
    """What is to be said once there is a log."""


def ready(recipe: Recipe, work_dir: Path, resume: Path | None, world: World) -> Start:
    """What `recipe` begins or goes on with in `work_dir`; writes nothing.

    Raises:
        MareyError: the run cannot begin or go on like this, see `marey.engine.train.loop.train`.
    """
    to_readable_yaml(recipe, str(work_dir / "recipe.yaml"))  # before its classes are used
    saved = None if resume is None else read_saved(resume)
    notes = []
    if saved is None:
        refuse_run(work_dir)
    else:
        refuse_other_run(saved, work_dir, last_checkpoint(work_dir))
        if not saved.has_trained:
            saved = None
            notes.append("no step was trained yet: starting from the beginning")
    train_set, val_set = read_data(recipe)
    data = data_facts(train_set, val_set)
    if saved is not None and (note := check_clips(saved, recipe, data)):
        notes.append(note)
    recipe, note = behind_its_encoder(recipe, train_set)
    notes.append(note)
    recipe = with_val(resolve(recipe, train_set), saved.recipe.val if saved else None)
    check_choice(recipe, train_set, val_set)
    recipe, note = fitting_batch(recipe, train_set, world)
    notes.append(note)
    at = Position()
    if saved is not None:
        if recipe.amp == "auto":  # what was measured where it began
            recipe = replace(recipe, amp=saved.recipe.amp)
        at, more = _goes_on(saved, recipe, data, world)
        notes += more
    notes += [segments_in_words(recipe), recipe.clips_in_words()]
    if saved is None:  # one that has begun goes on as it did
        check_has_effect(recipe)
    weights = None if saved else starting_weights(recipe)
    torch.manual_seed(recipe.seed)
    model = channels_last(built(recipe.model).to(world.device))
    check_tested(model, recipe)
    check_steps(recipe, train_set, world)
    if saved is None:
        check_kept(recipe, epochs_of_stages(recipe, train_set, world))
    if weights is not None:
        notes.append(initialize(model, weights, recipe, train_set.classes))
    elif saved is None:
        notes.append(from_nothing(recipe, len(train_set)))
    if saved is None:
        check_encoder(model, train_set)
    add_lora(model)
    check_learning(model, recipe)
    if recipe.sync_bn:
        refuse_cpus(world)
    notes += [validation_in_words(recipe, val_set), unvalidated_in_words(train_set, val_set)]
    notes.append(choice_in_words(recipe, val_set))
    notes += [_workers_in_words(recipe, world), shard_in_words(recipe, world)]
    return Start(
        recipe=recipe,
        train_set=train_set,
        val_set=val_set,
        data=data,
        model=model,
        saved=saved,
        at=at,
        notes=tuple(notes),
    )


def synchronised(model: VideoModel, world: World) -> VideoModel:
    """`model` with batch norms over the clips of all processes; itself where there is one only.

    It then trains in all of them at once: one alone would wait for the others for ever. RecipeError
    on CPUs, where torch has no such norm.
    """
    if world.is_alone:
        return model
    refuse_cpus(world)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    assert isinstance(converted, VideoModel)
    return converted


def refuse_cpus(world: World) -> None:
    """RecipeError on CPUs, where torch has no batch norm over several processes."""
    if not world.is_alone and world.device.type == "cpu":
        raise RecipeError(
            f"sync_bn is true, of {world.size} processes on CPUs: torch normalises over several "
            "processes on GPUs alone",
            "sync_bn=false",
        )


def _goes_on(
    saved: Saved, recipe: Recipe, data: DataFacts, world: World
) -> tuple[Position, list[str]]:
    """Where the run goes on, and what is to be said of what changed since."""
    changed = recipe_changes(saved, recipe)
    same_clips = saved.data is None or saved.data.val == data.val
    same_measure = same_clips and not any(each.touches(MEASURES) for each in changed)
    before = saved.clips_a_step or clips_a_step(saved.recipe, world)
    now, chooses = clips_a_step(recipe, world), bool(recipe.save_best)
    at, notes = position(saved, before, now, same_measure=same_measure, chooses=chooses)
    if not same_clips or any(each.touches(FOLLOWED) for each in changed):
        follow_anew(at, saved.recipe.stages[at.stage].schedule)
    if changed:
        notes.insert(0, f"changed since the run was saved: {', '.join(map(str, changed))}")
    return at, notes


def _workers_in_words(recipe: Recipe, world: World) -> str:
    """By how many processes clips are read, and why."""
    number, wanted = num_loaders(recipe.data.workers), recipe.data.workers
    who = counted(number, "worker") if number else "the process that trains"
    each = " of each process" if number and world.size > 1 else ""
    why = f"{counted(num_cores(), 'core')} here" if wanted is None else f"data.workers={wanted}"
    return f"clips are read by {who}{each} ({why})"


def clips_a_step(recipe: Recipe, world: World) -> int:
    """The clips that all processes take together in a step of the optimiser."""
    return recipe.batch_size * recipe.accumulate * world.size
