"""The demo's two recipes, the same in everything but the shift.

On two cores each is to train from nothing in about half a minute, hence four small pictures of each
clip, a network of a quarter of the published width, and few clips a step. A quarter of the channels
looks each way, twice the paper's share.
"""

from __future__ import annotations

from dataclasses import replace

from marey.models.encoders.resnet import ResNetSpec
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD, Cosine, Warmup
from marey.recipes.recipe import Recipe, Stage, TestViews, Views
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments

_SAMPLING, _PICTURE = Segments(4), CenterCrop(48, resize=48)

DEMO_TSN = Recipe(
    name="demo-tsn",
    model=ModelSpec(ResNetSpec(18, channels=16), (), num_segments=4, heads=(), dropout=0.0),
    train=Views(_SAMPLING, _PICTURE),
    test=TestViews(_SAMPLING, _PICTURE),
    stages=(
        Stage(
            epochs=5,
            optim=SGD(lr=0.05, nesterov=True, head_lr5=False),
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
