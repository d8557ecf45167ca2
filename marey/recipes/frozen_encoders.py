"""Frozen encoders for your own videos: each clip is looked at once, seconds an epoch from then on.

The encoder keeps its ImageNet weights; what learns is a linear head on the mean of its frames or,
in the rows called attentive, V-JEPA's attentive probe over the places of all frames. What comes out
is a model of videos like any other.
"""

from __future__ import annotations

from marey.models.encoder import Encoder, Neck
from marey.models.encoders.attentive_pool import AttentivePoolSpec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.video_model import ModelSpec
from marey.recipes.optim import AdamW, Cosine
from marey.recipes.recipe import Recipe, Stage, TestViews, Views
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments


def _recipe(name: str, encoder: Encoder, neck: Neck | None = None, *, lr: float) -> Recipe:
    sampling, crop = Segments(16), CenterCrop(224, resize=256)
    return Recipe(
        name=f"frozen-{name}",
        model=ModelSpec(encoder, num_segments=16, neck=neck, heads=(), dropout=0.0),
        train=Views(sampling, crop),
        test=TestViews(sampling, crop),
        stages=(
            Stage(
                epochs=50,
                optim=AdamW(lr=lr, weight_decay=1e-2),
                schedule=Cosine(),
                trainable="neck",
            ),
        ),
        batch_size=32,
        lr_batch_size=None,
        weights="imagenet",
    )


POOL = AttentivePoolSpec(width=256)
MOBILENETV2 = _recipe("mobilenetv2", MobileNetV2Spec(), lr=1e-2)
MOBILENETV2_ATTENTIVE = _recipe("mobilenetv2-attentive", MobileNetV2Spec(), POOL, lr=1e-3)
R18 = _recipe("r18", ResNetSpec(18), lr=1e-2)
R50 = _recipe("r50", ResNetSpec(50), lr=1e-2)
R50_ATTENTIVE = _recipe("r50-attentive", ResNetSpec(50), POOL, lr=1e-3)
