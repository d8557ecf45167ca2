"""Frozen encoders for your own videos: each clip is looked at once, seconds an epoch from then on.

The encoder keeps its ImageNet weights, and sees 16 whole frames and their 15 differences. What
learns is one linear layer on mean, deviation and order of what it saw over time; in the rows called
linear on the mean of the frames alone, in those called attentive behind V-JEPA's attentive probe
over the places of all frames. What comes out is a model of videos like any other.

`augment.flip=plain` has mirror images looked at as well: where no class has a side.
"""

from __future__ import annotations

from marey.models.encoder import Encoder, Neck
from marey.models.encoders.attentive_pool import AttentivePoolSpec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.encoders.rgb_difference import RGBDifferenceSpec
from marey.models.encoders.time_statistics import TimeStatisticsSpec
from marey.models.video_model import ModelSpec
from marey.recipes.optim import AdamW, Cosine
from marey.recipes.recipe import Recipe, Stage, TestViews, Views
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments

FRAMES = 16


def _recipe(name: str, encoder: Encoder, neck: Neck | None, optim: AdamW) -> Recipe:
    sampling, crop = Segments(FRAMES), CenterCrop(224, resize=(224, 224))
    return Recipe(
        name=f"frozen-{name}",
        model=ModelSpec(
            encoder, num_segments=FRAMES, neck=neck, heads=(), dropout=0.0, head_std=0.0
        ),
        train=Views(sampling, crop),
        test=TestViews(sampling, crop),
        stages=(Stage(epochs=60, optim=optim, schedule=Cosine(), trainable="neck"),),
        batch_size=16,
        lr_batch_size=None,
        clip_grad=None,
        weights="imagenet",
    )


def _statistics(name: str, pictures: Encoder) -> Recipe:
    optim = AdamW(lr=1e-2, weight_decay=0.1)
    return _recipe(name, RGBDifferenceSpec(pictures), TimeStatisticsSpec(streams=2), optim)


def _linear(name: str, pictures: Encoder) -> Recipe:
    return _recipe(f"{name}-linear", pictures, None, AdamW(lr=5e-3, weight_decay=0.1))


def _attentive(name: str, pictures: Encoder) -> Recipe:
    pool, optim = AttentivePoolSpec(width=256), AdamW(lr=1e-3, weight_decay=0.1)
    return _recipe(f"{name}-attentive", pictures, pool, optim)


MOBILENETV2 = _statistics("mobilenetv2", MobileNetV2Spec())
MOBILENETV2_LINEAR = _linear("mobilenetv2", MobileNetV2Spec())
MOBILENETV2_ATTENTIVE = _attentive("mobilenetv2", MobileNetV2Spec())
R50 = _statistics("r50", ResNetSpec(50))
R50_LINEAR = _linear("r50", ResNetSpec(50))
R50_ATTENTIVE = _attentive("r50", ResNetSpec(50))
