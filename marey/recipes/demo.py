"""The demo's two recipes, the same in everything but the shift.

On two cores each is to train from nothing in about a minute, hence small pictures and few clips a
step. A quarter of the channels looks each way: of an eighth, a network this narrow has two or four.
"""

from __future__ import annotations

from dataclasses import replace

from marey.models.resnet import ResNetSpec
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec
from marey.recipes.recipe import SGD, Cosine, Recipe, Stage, TestViews, Views, Warmup
from marey.video.crops import CenterCrop

_PICTURE = CenterCrop(48, resize=48)

DEMO_TSN = Recipe(
    name="demo-tsn",
    model=ModelSpec(ResNetSpec(18), (), num_segments=8, heads=(), dropout=0.0),
    train=Views(crop=_PICTURE),
    test=TestViews(crop=_PICTURE),
    stages=(
        Stage(
            epochs=6,
            optim=SGD(lr=0.03, nesterov=True, head_lr5=False),
            schedule=Cosine(),
            warmup=Warmup(epochs=1),
        ),
    ),
    batch_size=8,
    lr_batch_size=None,
)

DEMO_TSM = replace(
    DEMO_TSN, name="demo-tsm", model=replace(DEMO_TSN.model, temporal=(TSM(shift_div=4),))
)
