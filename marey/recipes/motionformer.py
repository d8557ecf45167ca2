"""Motionformer as it is published (arXiv 2106.05392, README and yaml of its repository).

AdamW for 256 clips a step, decay on every weight, the rate divided by ten twice. Kinetics starts
from ImageNet, the others from Kinetics; heads begin at a deviation of 0.02. Kinetics and EPIC are
tested on 10 clips x 3 crops, whose probabilities are averaged, Something-Something on 3 crops of
frames spread over the video. -HR has 336 pixels, -L 32 frames; joint and divided attention are the
baselines of the paper. All rows use the released attention (`Trajectory.values`), as their weights
do; `marey convert` reads those.

**Deviates**: the release counts 8.9 M weights that nothing uses (109.1 M with 400 classes, here
100.3 M) and computes twice the products (369 GMACs, here 189), so its costs are not claimed.
RandAugment is as `marey.video.rand_augment` says. On Kinetics the colours of every clip are
jittered before it is normalised, there those of four in five, after. Test clips reach from the
first frame to the last, where its last one stops short of the end. EPIC's models take BGR; how long
its clips last depends on the rate of the frames, which a manifest says in its column fps (60 where
it does not). The losses of its two heads are added, there their mean is taken: AdamW steps alike.
-HR on Kinetics-600 has every fourth frame, as its yaml says; the name of its file says every
eighth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from marey.longtail.objective import CrossEntropy
from marey.models.encoders.attention import Attention, Divided, Joint, Trajectory
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.optim import AdamW, StepDecay
from marey.recipes.published import head
from marey.recipes.recipe import Claim, Recipe, Stage, TestViews, Views
from marey.video.augment import Augment
from marey.video.crops import Crop, RandomResizedCrop
from marey.video.motionformer_crops import JitteredCrop, UniformCrop
from marey.video.rand_augment import RandAugment
from marey.video.sampling.motionformer import TimedClips
from marey.video.sampling.segments import Sampling, Segments

Variant = Literal["", "-hr", "-l", "-divided", "-joint"]

STRONGEST = RandAugment(magnitude=10, magnitude_std=0)
"""What ``rand-m15-mstd0.5-inc1`` and ``rand-m20-mstd0.5-inc1`` come to where 10 is the most."""

_README = "README of facebookresearch/Motionformer"
_ATTENTION: dict[str, Attention] = {"-divided": Divided(), "-joint": Joint()}
_JITTER = Augment(
    flip="plain", brightness=0.4, contrast=0.4, saturation=0.4, mean=(0.5,), std=(0.5,)
)
_AUGMENT = {
    "k400": _JITTER,
    "k600": _JITTER,
    "ssv2": Augment(randaugment=STRONGEST, mean=(0.5,), std=(0.5,)),
    "epic100": Augment(
        flip="plain", randaugment=STRONGEST, mean=(0.5,), std=(0.5,), channel_order="bgr"
    ),
}
_EPIC_HEADS = (Head("verb", 97), Head("noun", 300))
_LONG = StepDecay((30, 40)), 50
_SHORT = StepDecay((20, 30)), 35


def _row(variant: Variant, data: str, top1: float, top5: float | None, note: str = "") -> Recipe:
    frames, size = 32 if variant == "-l" else 16, 336 if variant == "-hr" else 224
    sampling = _sampling(variant, data, frames)
    schedule, epochs = _LONG if data == "epic100" else _SHORT
    optim = AdamW(lr=1e-4, weight_decay=0.05, groups="one")
    name = f"motionformer{variant}" if variant in ("", "-hr", "-l") else f"vit{variant}"
    return Recipe(
        name=f"{name}-{frames}f-{data}",
        model=ModelSpec(
            MotionformerSpec(_ATTENTION.get(variant, Trajectory())),
            num_segments=frames,
            heads=_EPIC_HEADS if data == "epic100" else head(data),
            dropout=0.0,
            head_std=0.02,
        ),
        train=Views(sampling, _crop(variant, data, size)),
        test=TestViews(sampling, UniformCrop(size, size), average="probs"),
        eval_every=5,
        augment=_augment(variant, data),
        stages=(
            Stage(
                epochs=epochs,
                optim=optim,
                schedule=schedule,
                objective=CrossEntropy(label_smoothing=0.2),
            ),
        ),
        batch_size=4 if size == 224 and frames == 16 else 1,
        lr_batch_size=256,
        clip_grad=None,
        amp=True,
        weights="imagenet" if data in ("k400", "k600") else f"from:{name}-{frames}f-k400",
        claim=Claim(top1=top1, source=_README, top5=top5, note=note),
    )


def _sampling(variant: Variant, data: str, frames: int) -> Sampling:
    if data == "ssv2":
        return Segments(frames)
    stride = 3 if variant == "-l" else 8 if (variant, data) == ("-hr", "k400") else 4
    clips = TimedClips(frames, stride, fps=30, clips=10)
    return clips.at(60) if data == "epic100" else clips


def _augment(variant: Variant, data: str) -> Augment:
    """Joint attention on Something-Something is the one row that goes without RandAugment."""
    plan = _AUGMENT[data]
    return replace(plan, randaugment=None) if (variant, data) == ("-joint", "ssv2") else plan


def _crop(variant: Variant, data: str, size: int) -> Crop:
    """A square of a short side between 256 and 320 pixels for 224, and of as much for 336."""
    if (variant, data) == ("-l", "k400"):
        return RandomResizedCrop(size)
    sides = (384, 480) if size == 336 else (256, 320)
    return JitteredCrop(size, sides, "inverse" if data == "ssv2" else "uniform")


def _epic(variant: Variant, action: float, verb: float, noun: float) -> Recipe:
    note = f"of actions; nouns {noun}, verbs {verb} (paperswithcode.com, not the README)"
    return _row(variant, "epic100", action, None, note)


ROWS = (
    _row("-joint", "k400", 79.2, 94.2),
    _row("-divided", "k400", 78.5, 93.8),
    _row("", "k400", 79.7, 94.2, "77.0 with 32 clips a step, 71.5 with 8, says a user"),
    _row("-hr", "k400", 81.1, 95.2),
    _row("-l", "k400", 80.2, 94.8),
    _row("", "k600", 81.6, 95.6),
    _row("-hr", "k600", 82.7, 96.1),
    _row("-l", "k600", 82.2, 96.0),
    _row("-joint", "ssv2", 64.0, 88.4),
    _row("-divided", "ssv2", 64.2, 88.6),
    _row("", "ssv2", 66.5, 90.1, "64.3 with 32 clips a step, says a user"),
    _row("-hr", "ssv2", 67.1, 90.6),
    _row("-l", "ssv2", 68.1, 91.2),
    _epic("", 43.1, 66.7, 56.5),
    _epic("-hr", 44.5, 67.0, 58.5),
    _epic("-l", 44.1, 67.1, 57.6),
)
