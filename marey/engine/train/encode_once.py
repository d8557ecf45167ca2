"""A run whose encoder is frozen looks at each clip once, before its first step.

All processes share the clips that lack (`marey.engine.inference.encoded` keeps what they make), and
from then on the run reads features in place of videos. What it saves is a model of videos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from marey.data.features.feature_file import FeatureFile
from marey.data.features.stacked import StackedFeatures
from marey.data.manifest.manifest import Manifest
from marey.engine.inference.encoded import KeptFeatures
from marey.engine.train.bad_clips import BadClips
from marey.engine.train.distributed import World
from marey.engine.train.run_log import RunLog
from marey.engine.train.start import Start
from marey.engine.train.stop_signals import StopAsked, StopFlag, Stopped
from marey.engine.weights.checkpoint import load_strictly
from marey.jobs.shards import Shard
from marey.recipes.frozen import is_frozen, train_views, varies
from marey.recipes.recipe import TestViews
from marey.recipes.val_views import val_views, views_in_words
from marey.video.crops import Mirrored


def encode_once(
    start: Start, work_dir: Path, *, world: World, log: RunLog, stop: StopFlag
) -> Start:
    """What the run begins with, its clips in the form in which it trains on them.

    Every process must call it. Stopped in all of them if one is asked to stop; what is made by then
    is kept.
    """
    recipe, train_set, val_set = start.recipe, start.train_set, start.val_set
    if not is_frozen(recipe) or train_set.features is not None:
        return start
    if said := varies(recipe):
        log.say(
            "the encoder is frozen, but looks at all training clips in every epoch: "
            f"{said}. To look once: train.crop=CenterCrop and nothing in augment"
        )
        return start
    if not recipe.weights and start.saved is None:
        log.say(
            "warning: the encoder is frozen, and nothing says which weights it has "
            "(--weights): a file, a run or imagenet"
        )
    if start.saved is not None:
        with start.saved.reading():
            load_strictly(start.model, start.saved.state["model"], source=start.saved.path)

    bad_clips = BadClips(work_dir, train_set, recipe.data.bad_clip_budget)

    def kept(clips: Manifest, views: TestViews, what: str) -> Manifest:
        features = KeptFeatures(
            model=start.model.with_frames(views.sampling.frames).eval(),
            recipe=replace(recipe, test=views),
            device=world.device,
        )
        with world.together():  # before anybody makes one: all are to count the same
            rows = features.missing(clips)
            lacking = clips.take(rows)
            there = len(clips) - len(rows) + (features.num_begun(lacking) if len(rows) else 0)
        mirror = "mirror images of " if isinstance(views.crop, Mirrored) else ""
        log.say(
            f"the encoder is frozen: {mirror}{len(clips):,} {what} clips x "
            f"{views_in_words(views)} are looked at once "
            f"({there:,} were before) and kept in {features.folder}"
        )
        if len(rows):

            def failed(row: int, reason: str) -> None:
                if clips is train_set:  # past the budget it ends here, before all are looked at
                    bad_clips.add(int(rows[row]), reason)

            _made(features, lacking, world, log, stop, work_dir, failed)
        with world.together():
            return features.of(clips)

    train = [kept(train_set, views, "training") for views in train_views(recipe)]
    parts = tuple(each.features for each in train if isinstance(each.features, FeatureFile))
    return replace(
        start,
        train_set=replace(train[0], features=StackedFeatures(parts)) if parts[1:] else train[0],
        val_set=None if val_set is None else kept(val_set, val_views(recipe), "validation"),
    )


def _made(
    features: KeptFeatures,
    clips: Manifest,
    world: World,
    log: RunLog,
    stop: StopFlag,
    work_dir: Path,
    failed: Callable[[int, str], None],
) -> None:
    """Make the features of these clips by all processes; `failed` is told what cannot be read."""

    def work(beat: Callable[[], None]) -> None:
        def between_batches(done: int, _: int) -> None:
            log.looked_at(done)
            beat()
            if stop.asked:
                raise StopAsked

        shard = Shard(world.rank, world.size)
        features.make(clips, shard=shard, progress=between_batches, failed=failed)

    log.begin_epoch("looking at clips", len(clips), 0)
    try:
        with stop.at_once(alone=world.is_alone):
            world.side_by_side(work)
    except StopAsked:
        raise Stopped(work_dir, kept="the clips looked at are kept") from None
    finally:
        log.end_epoch()
