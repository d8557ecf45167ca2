"""The training loop: stages of epochs of steps, resumable at any step, on one process or many.

Everything random is a function of (recipe.seed, stage, epoch, position): order of clips, crops and
flips, dropout. So no generator's state can be lost: a run that was killed and resumed ends with the
same bits (on the CPU), and W processes see the clips that one with W times the batch would see.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from copy import copy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marey.data.loading.clips import Batch
from marey.data.loading.workers import WorkerKilled
from marey.engine.train.bad_clips import BadClips
from marey.engine.train.best_epoch import forget_best, is_best, reduced
from marey.engine.train.distributed import LoneError, ToldError, World, join_world
from marey.engine.train.encode_once import encode_once
from marey.engine.train.end_of_run import split_to_test, write_test
from marey.engine.train.fit_neck import fit_neck
from marey.engine.train.learner import Learner, averaged
from marey.engine.train.not_finite import first_not_finite, loss_error, refuse_not_finite
from marey.engine.train.optim import go_on
from marey.engine.train.outcome import outcome
from marey.engine.train.precise_bn import NormSums, measured, take
from marey.engine.train.precision import with_precision
from marey.engine.train.run_folder import (
    begin_run,
    epoch_file,
    held,
    keep_newest,
    refuse_run,
    write_about,
)
from marey.engine.train.run_log import RunLog
from marey.engine.train.saved import Saved, as_plain
from marey.engine.train.sharded import share_out, whole, whole_model
from marey.engine.train.start import Start, clips_a_step, ready, synchronised
from marey.engine.train.steps import Position, Steps, Totals, draw_steps, mixed_seed
from marey.engine.train.stop_signals import StopAsked, StopFlag, Stopped, stop_signals
from marey.engine.train.trackers import Trackers, check_trackers, open_trackers
from marey.engine.train.validation import validate
from marey.engine.weights.checkpoint import last_checkpoint, load_strictly, save_checkpoint
from marey.engine.weights.origin import origin_of
from marey.errors import MareyError, RunError, counted
from marey.jobs.allocator import keep_freed_memory
from marey.longtail.decouple import change_heads, training_mode
from marey.longtail.objective import FollowsEpochs
from marey.metrics.catalog import find_metric
from marey.models.layers import norms_that_learn
from marey.models.video_model import VideoModel
from marey.recipes.frozen import trains_on
from marey.recipes.optim import FollowsValidation
from marey.recipes.recipe import Recipe, Stage
from marey.recipes.schema import to_yaml
from marey.types import Clip, Labels, check_numbers
from marey.video.augment import augment

SAVE_SECONDS = 600.0
SAVE_ENCODED_SECONDS = 60.0


def train(
    recipe: Recipe,
    work_dir: Path,
    *,
    resume: Path | None = None,
    device: str | None = None,
    save_steps: int | None = None,
    test: bool = False,
    quiet: bool = False,
    notes: Sequence[str] = (),
    trackers: Sequence[str] = (),
) -> Path:
    """Train `recipe`; returns `work_dir`, the folder of the run.

    Started by torchrun or srun it is one process of many, see `marey.engine.train.distributed`.

    Args:
        recipe: what to train, with its data.
        work_dir: where the run writes; it must not hold another one.
        resume: a checkpoint of this run to go on from.
        device: "cpu", "cuda" ...; by default the GPU if there is one.
        save_steps: save every so many steps, besides every epoch and every ten minutes.
        test: when it is trained, test it by the test views into results/SPLIT.
        quiet: print nothing; what is said stands in train.log all the same.
        notes: what is to be said first, such as why it is this recipe.
        trackers: what else is told of it, as "wandb"; see `marey.engine.train.trackers`.

    Raises:
        ValueError: `save_steps` is below 1.
        RecipeError: the recipe does not fit its data, or could not be read back from `work_dir`.
        ManifestError: the data cannot be used.
        RunError: the run cannot begin or go on; what it had saved stays.
        Stopped: after Ctrl-C or SIGTERM, once the run is saved.
    """
    check_numbers(at_least=1, save_steps=save_steps)
    check_trackers(trackers)
    with join_world(device) as world, ExitStack() as stack:
        notes = [*notes]
        if world.device.type == "cpu":
            keep_freed_memory()
        with world.together():
            if world.is_main and resume is not None:  # held before the checkpoint is read
                notes.append(stack.enter_context(held(work_dir)))
        with world.together():
            start = ready(recipe, work_dir, resume, world)
            split = split_to_test(start.recipe) if test else None
        start = with_precision(start, world)
        with world.together():
            if world.is_main and resume is None:
                notes.append(stack.enter_context(held(work_dir)))
                refuse_run(work_dir)  # another may have begun and ended meanwhile
            if world.is_main:
                write = begin_run if start.saved is None else write_about
                write(work_dir, start.recipe, start.train_set)
        told = Trackers()
        if world.is_main:
            told = open_trackers(trackers, work_dir, start.recipe, start.at.global_step)
        log = stack.enter_context(
            RunLog(
                work_dir,
                start.at.global_step,
                world.is_main,
                num_epochs=start.saved.num_epochs if start.saved else 0,
                epochs=start.saved.epochs if start.saved else [],
                quiet=quiet,
                trackers=told,
            )
        )
        for note in filter(None, (*notes, *start.notes, *told.notes)):
            log.say(note)
        stop = stack.enter_context(stop_signals(speaks=world.is_main))
        try:
            start = encode_once(start, work_dir, world=world, log=log, stop=stop)
            Training(start, work_dir, world=world, log=log, stop=stop, save_steps=save_steps).loop()
            if world.is_main:
                chosen = origin_of(work_dir).chosen
                log.say_together(f"trained: {work_dir}", outcome(chosen, log.epochs))
            if split is not None:
                write_test(work_dir, split, world=world, stop=stop, log=log)
        except MareyError as error:
            if world.is_main or isinstance(error, ToldError):
                raise
            raise LoneError(f"process {world.rank}: {error.message}", error.hint) from error
    return work_dir


class Training:
    """A run under way.

    Of what it is made of at the start, `at` moves on with every step, and the end of a stage puts
    another `learner` in the place of the last.
    """

    def __init__(
        self,
        start: Start,
        work_dir: Path,
        *,
        world: World,
        log: RunLog,
        stop: StopFlag,
        save_steps: int | None,
    ) -> None:
        """A run at the place where its checkpoint left it, else at its beginning."""
        self.recipe, self.work_dir, self.at = start.recipe, work_dir, start.at
        self.train_set, self.val_set, self.data = start.train_set, start.val_set, start.data
        self.reads = trains_on(self.recipe, self.train_set)
        self.world, self.log, self.stop, self.save_steps = world, log, stop, save_steps
        self.bad_clips = BadClips(work_dir, self.train_set, self.recipe.data.bad_clip_budget)
        self.saved_at = time.monotonic()
        self.model, ema = start.model, self.recipe.ema
        if self.recipe.sync_bn:
            self.model = synchronised(self.model, world)
        if start.saved is None:
            fit_neck(self.model, self.recipe, self.train_set, world.device)
        self.ema = None if ema is None else averaged(self.model, ema)
        self.totals = start.saved.totals if start.saved else Totals()
        if start.saved is None:
            self.learner = self.begin_stage()
            self.save()
        else:
            self.learner = self.resumed(start.saved)
            if world.gather(last_checkpoint(work_dir) is None)[0]:
                self.save()  # in a folder of its own, where perhaps nothing is left to train

    def loop(self) -> None:
        """All that is left of training."""
        while True:
            while not self.stage_is_over:
                if not self.at.step:
                    self.totals = Totals()
                for batches, waited in self.steps():
                    with self.undone_if_left():
                        mean = self.step(batches)
                    loss, num_stopping, num_late = self.world.sums(
                        mean, self.stop.asked, self.unsaved_seconds > SAVE_SECONDS
                    )
                    self.note(loss / self.world.size, batches, waited)
                    self.save_if_due(stopping=num_stopping > 0, late=num_late > 0)
                self.finish_epoch()
            if self.at.stage + 1 == len(self.recipe.stages):
                return
            self.at.stage, self.at.epoch = self.at.stage + 1, 0
            self.at.began = self.at.global_step
            self.learner = self.begin_stage()

    def steps(self) -> Iterator[tuple[list[Batch], float]]:
        """The batches of every step that is left of this epoch, and the seconds waited for them.

        The rates are those of the step when its batches come. None in a stage of no epochs.
        """
        if not self.stage.epochs:
            return
        training_mode(self.model, self.stage.trainable, self.stage.last_blocks)
        steps = draw_steps(
            self.reads,
            self.train_set,
            self.at,
            self.world,
            suspects=self.bad_clips.suspects,
            waiting=partial(self.stop.at_once, alone=self.world.is_alone),
        )
        if self.at.step:  # the last rate, for the log, where no step is left
            self.learner.set_rates(self.schedule_epoch(steps.num_steps, before=1))
        self.begin_bar(steps)
        with self.saved_at_the_end():
            try:
                for batches, waited in steps:
                    self.learner.set_rates(self.schedule_epoch(steps.num_steps))
                    yield batches, waited
            except WorkerKilled as error:
                if error.row is not None:
                    self.bad_clips.suspect(error.row)
                raise

    def schedule_epoch(self, num_steps: int, *, before: int = 0) -> float:
        """The epoch whose rates the next step has, or one `before` it, of epochs of `num_steps`.

        With `max_steps` the epochs of the schedule are stretched over these.
        """
        if self.stage.max_steps is None:
            return self.at.epoch + (self.at.step - before) / num_steps
        return self.stage.epochs * (self.at.stage_step - before) / self.stage.max_steps

    def begin_bar(self, steps: Steps) -> None:
        """Show how far the epoch under way is, and the whole run."""
        stages, of_epoch = self.recipe.stages, steps.num_steps
        done = int(self.log.epochs[-1]["epoch"]) if self.log.epochs else 0
        total = "" if any(each.max_steps for each in stages) else f" of {self.recipe.epochs}"
        left = sum(each.num_steps(of_epoch) for each in stages[self.at.stage :])
        taken = self.at.epoch * of_epoch + self.at.step
        taken = taken if self.stage.max_steps is None else self.at.stage_step
        end = self.at.step + steps.num_left
        later = max(0, left - taken - steps.num_left)
        self.log.begin_epoch(f"epoch {done + 1}{total}", end, self.at.step, later)

    def step(self, batches: Sequence[Batch]) -> float:
        """One optimiser step over `accumulate` batches; returns the mean loss of this process."""
        torch.manual_seed(mixed_seed(self.recipe.seed, self.at.global_step, self.world.rank))
        learner, total = self.learner, 0.0
        for number, batch in enumerate(batches, start=1):
            with learner.accumulating(last=number == len(batches), amp=self.recipe.in_bfloat16):
                clip, labels = self.prepare(batch)
                loss = learner.loss(clip, labels) / len(batches)
                loss.backward()
            total += loss.item()
            if not math.isfinite(total):
                term = "unknown where processes compute together (shard=true or sync_bn=true)"
                if not self.is_sharded and not self.is_in_step:
                    term = first_not_finite(self.model, learner.objective, clip, labels)
                raise loss_error(total, self.at.global_step, self.train_set, batch.rows, term)
        with self.stop.whole():
            learner.update(self.recipe.clip_grad)
            if self.ema is not None:
                self.ema.update_parameters(self.model)
            self.at.step += 1
            self.at.global_step += 1
        return total

    @contextmanager
    def undone_if_left(self) -> Iterator[None]:
        """A step that a second Ctrl-C leaves has changed nothing, and the run is saved without it.

        Before the weights move it changes the statistics of batch norms, and a memory bank.
        """
        objective, step = self.learner.objective, self.at.global_step
        buffers = [(each, each.clone()) for each in self.model.buffers()]
        state = {name: _kept(value) for name, value in objective.state_dict().items()}
        try:
            yield
        except KeyboardInterrupt:
            if self.at.global_step == step:
                for buffer, value in buffers:
                    buffer.copy_(value)
                objective.load_state_dict(state)
            self.save_alone()
            raise Stopped(self.work_dir) from None

    def prepare(self, batch: Batch) -> tuple[Clip, Labels]:
        """The batch on the device, augmented and normalised; labels are mixed if the plan says."""
        for row, reason in batch.failures:
            self.bad_clips.add(row, reason)
        if not len(batch.rows):
            raise RunError(
                f"no clip of the batch at step {self.at.global_step} could be read",
                f"see {self.work_dir / 'bad_clips.csv'} and run marey data check",
            )
        batch = batch.to(self.world.device)
        return augment(
            batch.clip[:, 0],
            batch.labels,
            self.reads.augment,
            batch.seeds,
            num_classes=self.num_classes,
        )

    @property
    def stage(self) -> Stage:
        """The stage under way."""
        return self.recipe.stages[self.at.stage]

    @property
    def stage_is_over(self) -> bool:
        """Whether all its epochs or steps are done, or patience is at its end.

        A stage of no epochs has one without steps; one that ends within an epoch finishes it.
        """
        if self.stage.max_steps is None:
            return self.at.epoch >= max(self.stage.epochs, 1) or self.is_out_of_patience
        is_done = self.at.stage_step >= self.stage.max_steps
        return not self.at.step and (is_done or self.is_out_of_patience)

    @property
    def is_out_of_patience(self) -> bool:
        """Whether too many validations of the stage were none better."""
        patience = self.recipe.patience
        return patience is not None and self.at.since_best >= patience

    @property
    def is_encoded(self) -> bool:
        """Whether features stand in for the clips of a model of videos."""
        return self.train_set.features is not None and not self.recipe.model.takes_features

    @property
    def is_sharded(self) -> bool:
        """Whether each process keeps a share of the weights."""
        return self.recipe.shard and not self.world.is_alone

    @property
    def is_in_step(self) -> bool:
        """Whether batch norms of several processes wait for each other."""
        return self.recipe.sync_bn and not self.world.is_alone

    @property
    def unsaved_seconds(self) -> float:
        """How long ago the run was saved."""
        return time.monotonic() - self.saved_at

    @property
    def num_classes(self) -> dict[str, int]:
        """Head name -> number of classes."""
        return {head.name: head.num_classes for head in self.recipe.model.heads}

    def begin_stage(self) -> Learner:
        """What the stage under way learns with, from its first step on; its heads are changed."""
        forget_best(self.at)
        self.at.measured, self.at.reduced = [], 1.0
        for model in {self.model, self.eval_model()}:  # the average of weights changes alike
            torch.manual_seed(mixed_seed(self.recipe.seed, self.at.stage))
            change_heads(model, reset=self.stage.reset_heads, tau=self.stage.normalize_heads)
        return self.build_learner()

    def resumed(self, saved: Saved) -> Learner:
        """What the stage under way learns with, it and the model as the checkpoint has them."""
        state = saved.state
        with saved.reading():
            load_strictly(self.model, state["model"], source=saved.path)
            if self.ema is not None:
                load_strictly(self.ema, state["ema"], source=saved.path)
        learner = self.build_learner()
        with saved.reading():
            go_on(learner.optimizer, state["optimizer"], self.stage.optim)
            learner.objective.load_state_dict(state["objective"])
        if self.is_sharded:
            share_out(learner.optimizer)
        at = self.at
        self.log.say(f"resumed at stage {at.stage}, epoch {at.epoch}, step {at.step}")
        return learner

    def build_learner(self) -> Learner:
        """A learner for the stage under way, at the rate for so many clips a step; says the rate.

        The recipe's rate is meant for a batch of `lr_batch_size`, and grows with the total batch.
        """
        recipe, lr = self.recipe, self.stage.optim.lr
        total = clips_a_step(recipe, self.world)
        scale = total / recipe.lr_batch_size if recipe.lr_batch_size else 1.0
        self.log.say(
            f"learning rate {lr:g} x {total}/{recipe.lr_batch_size} = {lr * scale:g}"
            if scale != 1
            else f"learning rate {lr:g}, {counted(total, 'clip')} a step"
        )
        counts = {h: torch.from_numpy(self.train_set.class_counts(h)) for h in self.num_classes}
        learner = Learner(
            self.stage,
            self.model,
            counts,
            self.world,
            lr_scale=scale,
            checkpointing=self.recipe.checkpointing,
            recompute=self.recipe.recompute,
            compile=self.recipe.compile,
            sharded=self.recipe.shard,
        )
        learner.reduced = reduced(self.at, self.stage.schedule)
        return learner

    def note(self, loss: float, batches: Sequence[Batch], waited: float) -> None:
        """Write down what a step gave; `loss` is the mean over all processes."""
        self.totals.add(loss, sum(len(batch.rows) for batch in batches), waited)
        self.log.step(
            self.at.global_step,
            self.totals.text(self.world.size),
            loss=loss,
            lr=self.learner.lr,
            data_wait=waited,
        )

    def save_if_due(self, *, stopping: bool, late: bool) -> None:
        """Save every `save_steps` steps and every ten minutes, and at once when asked to stop.

        All processes alike, as all take part where weights are shared out.
        """
        by_steps = self.save_steps is not None and self.at.global_step % self.save_steps == 0
        if stopping or by_steps or late:
            self.save()
        if stopping:
            raise Stopped(self.work_dir)

    def finish_epoch(self) -> None:
        """Validate if it is time, log and save; the next epoch begins."""
        with self.world.together():
            self.bad_clips.check_all(self.world)
        self.totals.end()  # before time goes into validation, which may be stopped and saved
        means = self.totals.means(self.world.size)
        is_validated = self.validates_now()
        model = self.eval_model()
        if is_validated and self.stage.epochs and self.recipe.precise_bn is not None:
            self.measure_norms(model, self.recipe.precise_bn)
        metrics = self.validated(model) if is_validated else {}
        self.at.epoch, self.at.step = self.at.epoch + 1, 0
        if isinstance(self.learner.objective, FollowsEpochs):
            self.learner.objective.finish_epoch()
        if self.world.is_main:
            done = self.log.epochs[-1]["epoch"] if self.log.epochs else 0
            done += min(self.stage.epochs, 1)
            row = {"epoch": done, "step": self.at.global_step, "lr": self.learner.lr}
            self.log.epoch(row | means | metrics)
            if is_best(self.at, metrics, self.recipe) and self.recipe.save_best:
                self.write("best.pt", {"model": model.state_dict()})
        self.at.since_best = self.world.gather(self.at.since_best)[0]
        if is_validated:
            self.follow(metrics)
        if self.is_out_of_patience and not self.is_last_epoch(self.at.epoch):
            most = self.stage.max_steps
            whole = counted(self.stage.epochs, "epoch") if most is None else counted(most, "step")
            self.log.say(
                f"stage {self.at.stage} ends after "
                f"{self.at.epoch if most is None else self.at.stage_step} of {whole}: "
                f"{self.recipe.save_best or 'val/loss'} has not got better for "
                f"{counted(self.at.since_best, 'validation')}"
            )
        # behind a frozen encoder an epoch takes a moment, and what is saved may be a gigabyte
        is_late = self.unsaved_seconds > SAVE_ENCODED_SECONDS
        every = self.recipe.checkpoint_every
        keeps = every is not None and self.stage.epochs > 0 and self.at.epoch % every == 0
        if not self.is_encoded or self.stage_is_over or is_late or keeps:
            self.save(keep=keeps)
        self.world.wait()

    def follow(self, metrics: Mapping[str, float]) -> None:
        """Let the rates follow what process 0 has measured, if the stage's schedule asks for it."""
        schedule = self.stage.schedule
        if not isinstance(schedule, FollowsValidation):
            return
        named, before = find_metric(schedule.metric), self.learner.reduced
        assert named is not None
        number = float(metrics[named.key]) if self.world.is_main else 0.0
        self.at.measured = [*self.at.measured, self.world.gather(number)[0]]
        self.learner.reduced = reduced(self.at, schedule)
        if self.learner.reduced != before:
            self.log.say(
                f"{schedule.metric} gets no better: rates are {self.learner.reduced:.3g} of the "
                "schedule's from here on"
            )

    def validates_now(self) -> bool:
        """Whether the epoch that ends is one that validates; without clips for that each is."""
        done = self.at.epoch + 1
        due = done % self.recipe.eval_every == 0 or self.is_last_epoch(done)
        return due or self.val_set is None

    def is_last_epoch(self, done: int) -> bool:
        """Whether the stage has come to its end with so many epochs, patience aside."""
        if self.stage.max_steps is None:
            return done >= self.stage.epochs
        return self.at.stage_step >= self.stage.max_steps

    def measure_norms(self, model: VideoModel, num_batches: int) -> None:
        """Give the batch norms of `model` statistics of its own, by the epoch's first batches.

        What is drawn follows from the epoch alone: the same where the run goes on from its last
        step.
        """
        training_mode(model, self.stage.trainable, self.stage.last_blocks)
        if not norms_that_learn(model):
            return
        steps = draw_steps(
            self.reads,
            self.train_set,
            Position(stage=self.at.stage, epoch=self.at.epoch),
            self.world,
            suspects=self.bad_clips.suspects,
        )
        number = min(num_batches, steps.num_steps * steps.accumulate)
        batches = islice(steps.batches, number)

        def clips(beat: Callable[[], None]) -> Iterator[Clip]:
            for batch in batches:
                beat()
                if self.stop.asked:
                    raise StopAsked
                yield self.prepare(batch)[0]

        def clips_in_step() -> Iterator[Clip]:
            for _ in range(number):
                if self.world.sums(self.stop.asked)[0]:
                    raise StopAsked
                with self.world.together():  # before norms wait for each other
                    clip = self.prepare(next(batches))[0]
                yield clip

        def work(beat: Callable[[], None]) -> list[NormSums]:
            torch.manual_seed(mixed_seed(self.recipe.seed, self.at.global_step, self.world.rank))
            with (
                closing(steps.batches),
                torch.autocast(
                    self.world.device.type, torch.bfloat16, enabled=self.recipe.in_bfloat16
                ),
            ):
                return measured(model, clips_in_step() if self.is_in_step else clips(beat))

        with self.saved_at_the_end(), self.stop.at_once(alone=self.world.is_alone):
            found = self.world.side_by_side(work)
        with self.stop.whole():
            take(model, found)

    def validated(self, model: VideoModel) -> dict[str, float]:
        """The metrics of the clips that validate; none but for process 0."""
        with self.saved_at_the_end(), self.stop.at_once(alone=self.world.is_alone):
            return validate(
                model,
                self.recipe,
                self.train_set,
                self.val_set,
                world=self.world,
                stop=self.stop,
            )

    @contextmanager
    def saved_at_the_end(self) -> Iterator[None]:
        """What the run has learnt is saved if it is stopped in the block, or cannot go on there."""
        try:
            yield
        except StopAsked:
            self.save()
            raise Stopped(self.work_dir) from None
        except RunError:
            self.save_alone()
            raise

    def eval_model(self) -> VideoModel:
        """The model that is tested and kept: the average of weights if the recipe has one.

        Of weights that are shared out it is a copy, which every process must call for.
        """
        model = self.model if self.ema is None else self.ema.module
        assert isinstance(model, VideoModel)
        return whole_model(model) if self.is_sharded else model

    def save(self, *, keep: bool = False) -> None:
        """Write last.pt: everything the rest of the run depends on. Every process must call it.

        keep: write the same under the name of the epoch that has ended, too, and delete the oldest
            of such where there are too many.
        """
        self.saved_at = time.monotonic()
        state = {
            "model": self.model.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "optimizer": self.learner.optimizer.state_dict(),
            "objective": self.learner.objective.state_dict(),
        }
        with self.stop.whole():
            if self.is_sharded:
                state = whole(state, keep=self.world.is_main)
            if self.world.is_main and keep:  # first: what is missing is written again from last.pt
                self.write(epoch_file(int(self.log.epochs[-1]["epoch"])), state)
            if self.world.is_main:
                self.write("last.pt", state)
            if self.world.is_main and keep:
                keep_newest(self.work_dir, self.recipe.checkpoints_kept)

    def save_alone(self) -> None:
        """Save where the other processes are elsewhere; shares of theirs cannot be had there."""
        if not self.is_sharded:
            self.save()

    def write(self, name: str, state: dict[str, Any]) -> None:
        """Write a checkpoint of that name, with the recipe and the progress in it."""
        refuse_not_finite(self.model, state["model"], self.at.global_step)
        about = as_plain(
            to_yaml(self.recipe),
            self.at,
            self.totals,
            epochs=self.log.epochs,
            data=self.data,
            clips_a_step=clips_a_step(self.recipe, self.world),
        )
        save_checkpoint(self.work_dir / "checkpoints" / name, about | state)


def _kept(value: Any) -> Any:
    """An entry of a state dict that what comes after does not change."""
    return value.clone() if isinstance(value, Tensor) else copy(value)
