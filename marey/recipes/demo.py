"""The demo's two recipes: the same in everything but the shift."""

from __future__ import annotations

from dataclasses import replace

from marey.models.resnet import ResNetSpec
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec
from marey.recipes.recipe import SGD, Cosine, Recipe, Stage, TestViews, Views, Warmup
from marey.video.crops import CenterCrop, MultiScaleCrop

DEMO_TSN = Recipe(
    name="demo-tsn",
    model=ModelSpec(ResNetSpec(18), (), num_segments=8, heads=(), dropout=0.2),
    train=Views(crop=MultiScaleCrop(56, scales=(1.0, 0.875))),
    test=TestViews(crop=CenterCrop(56, resize=None)),
    stages=(
        Stage(
            epochs=10,
            optim=SGD(lr=0.05, weight_decay=5e-4, head_lr5=False),
            schedule=Cosine(),
            warmup=Warmup(epochs=1),
        ),
    ),
    lr_batch_size=None,
)
DEMO_TSM = replace(DEMO_TSN, name="demo-tsm", model=replace(DEMO_TSN.model, temporal=(TSM(),)))
