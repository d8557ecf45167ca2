"""What the published rows share: their data sets, test views and schedules.

A row names the data set only by its number of classes and by what a mirror image means; where the
clips lie says a manifest (`Recipe.with_data`).

Costs are those of the original code, measured with 174 classes at 224 x 224 pixels; `parameters`
adds what a classifier of another size has.

TSM's trainer, and those that were made of it or beside it (GC, ECal, GST, TDN, bLVNet, ARP), keep
the epoch of the best top-1 on the clips that the number is published of; their rows have
`save_best` for it. mmaction2 and Motionformer publish the weights at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from marey.modality import STACKS, Modality, modality_for
from marey.models.encoder import Encoder
from marey.models.encoders import bninception
from marey.models.encoders.bninception import BNInceptionSpec
from marey.models.encoders.googlenet import GoogLeNetSpec
from marey.models.encoders.googlenet_clips import S3DSpec
from marey.models.encoders.inception_v3 import InceptionV3Spec
from marey.models.encoders.r2plus1d import R2Plus1DSpec
from marey.models.video_model import Head
from marey.recipes.optim import SGD, Cosine, Schedule, StepDecay
from marey.recipes.recipe import Stage, TestViews
from marey.video.augment import Augment
from marey.video.crops import CenterCrop, ThreeCrop
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.segments import Dense, Segments

CLASSES: Mapping[str, int] = {
    "k400": 400,
    "k600": 600,
    "ssv1": 174,
    "ssv2": 174,
    "jester": 27,
    "ucf101": 101,
    "hmdb51": 51,
    "diving48": 48,
    "egtea": 106,
    "mini-ssv2": 87,
    "mini-k400": 200,
    "mini-mit": 200,
}
"""Data set -> number of classes."""

_LEFT_AND_RIGHT = ("ssv1", "ssv2", "jester", "mini-ssv2")
"""Data sets whose labels say left and right, so that a mirror image has another one."""

PLAIN_FLIP = Augment(flip="plain")
CENTER, CENTER_FULL = CenterCrop(224, 256), CenterCrop(256, 256)
THREE_FULL = ThreeCrop(256, 256)
THREE_LONGER = ThreeCrop(256, 256, along="longer")


def head(data: str) -> tuple[Head, ...]:
    """The one head of a data set."""
    return (Head("label", CLASSES[data]),)


def no_flip_of_sides(data: str) -> Augment:
    """Mirrors clips, except where labels say left and right (TSM)."""
    return Augment() if data in _LEFT_AND_RIGHT else PLAIN_FLIP


def swap_of_sides(data: str) -> Augment:
    """Mirrors all clips; where labels say left and right, exchanges them (GC, GST, TDN)."""
    return Augment(flip="swap") if data in _LEFT_AND_RIGHT else PLAIN_FLIP


def as_pretrained(
    encoder: Encoder, augment: Augment, *, modality: Modality | None = None
) -> Augment:
    """`augment`, normalising as the weights want it that the encoder's network is published with.

    BN-Inception's were trained by Caffe, those of the other Inceptions ported from TensorFlow. Flow
    has one mean for both of its axes, differences have none. torchvision's video networks have
    Kinetics' statistics.

    modality: what it is to be shown; by default what has as many channels as it takes.
    """
    modality = modality or modality_for(encoder.in_channels)
    is_flow = modality == "flow"
    if isinstance(encoder, BNInceptionSpec):
        if modality == "rgbdiff":
            return replace(augment, mean=(0.0,), std=(1 / 255,), channel_order="bgr")
        if is_flow:
            return replace(augment, mean=(128 / 255,), std=(1 / 255,))
        return replace(augment, mean=bninception.MEAN, std=bninception.STD, channel_order="bgr")
    if modality == "rgbdiff":
        return replace(augment, mean=STACKS["rgbdiff"].mean, std=STACKS["rgbdiff"].std)
    if isinstance(encoder, R2Plus1DSpec) or (
        isinstance(encoder, S3DSpec) and encoder.form == "torchvision"
    ):
        return replace(augment, mean=KINETICS_MEAN, std=KINETICS_STD)
    if isinstance(encoder, GoogLeNetSpec | InceptionV3Spec):
        half = (0.5,) * (1 if is_flow else 3)
        return replace(augment, mean=half, std=half)
    if is_flow:
        return replace(augment, mean=STACKS["flow"].mean, std=STACKS["flow"].std)
    return augment


KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


def center(segments: int, frames: int = 1) -> TestViews:
    """One clip, centre crop of 224 pixels."""
    return TestViews(Segments(segments, frames), CENTER)


def center_full(segments: int, frames: int = 1) -> TestViews:
    """One clip, centre crop of the full 256 pixels."""
    return TestViews(Segments(segments, frames), CENTER_FULL)


def twice(segments: int) -> TestViews:
    """Two clips, centre crop of the full 256 pixels ("8 x 1 x 2" of Group Contextualization)."""
    return TestViews(Segments(segments, clips=2), CENTER_FULL)


def twice_three(segments: int) -> TestViews:
    """Two clips, three crops of the full 256 pixels (TSM on Something-Something)."""
    return TestViews(Segments(segments, clips=2), THREE_FULL)


def dense(frames: int, *, crops: int = 3) -> TestViews:
    """Ten windows of 64 frames, one or three crops of the full 256 pixels (Kinetics)."""
    return TestViews(Dense(frames), THREE_FULL if crops == 3 else CENTER_FULL)


def three_full(segments: int, frames: int = 1) -> TestViews:
    """One clip, three crops of the full 256 pixels, probabilities (TDN on Something-Something)."""
    return TestViews(Segments(segments, frames), THREE_FULL, "probs")


def ten_three(segments: int, frames: int) -> TestViews:
    """Ten clips of the segments, three crops of the full 256 pixels, probabilities (TDN)."""
    return TestViews(Uniform(segments, frames, clips=10), THREE_FULL, "probs")


def steps(epochs: int, *milestones: float, optim: SGD) -> tuple[Stage, ...]:
    """One stage whose rate falls by ten at each of the milestones."""
    return (Stage(epochs=epochs, optim=optim, schedule=StepDecay(milestones)),)


def cosine(epochs: int, *, optim: SGD) -> tuple[Stage, ...]:
    """One stage whose rate falls along a cosine, epoch by epoch, as TSM's trainer does."""
    schedule: Schedule = Cosine(per="epoch")
    return (Stage(epochs=epochs, optim=optim, schedule=schedule),)


def parameters(millions: float, data: str, features: int = 2048) -> float:
    """Parameters in millions for this data set, of a model that has `millions` with 174 classes."""
    return round(millions + (CLASSES[data] - 174) * (features + 1) / 1e6, 4)
