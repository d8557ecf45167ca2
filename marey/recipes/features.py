"""Recipes for features in place of videos: seconds on a CPU. The heads come from your file.

`marey features` makes such a file; any stage, sampler and objective goes with these.
"""

from __future__ import annotations

from marey.models.encoder import Encoder
from marey.models.encoders.features import FeaturesSpec, LateAverageSpec, NetVLADSpec
from marey.models.encoders.time_statistics import TimeStatisticsSpec
from marey.models.video_model import ModelSpec
from marey.recipes.optim import AdamW, Cosine
from marey.recipes.recipe import DataSpec, Recipe, Stage, TestViews, Views
from marey.video.sampling.segments import AllFrames


def _recipe(
    name: str,
    encoder: Encoder,
    *,
    dropout: float,
    lr: float,
    weight_decay: float = 1e-4,
    head_std: float = 1e-3,
) -> Recipe:
    optim = AdamW(lr=lr, weight_decay=weight_decay)
    stage = Stage(epochs=30, optim=optim, schedule=Cosine())
    return Recipe(
        name=name,
        model=ModelSpec(encoder, num_segments=1, heads=(), dropout=dropout, head_std=head_std),
        data=DataSpec(workers=0),
        train=Views(AllFrames()),
        test=TestViews(AllFrames()),
        stages=(stage,),
        batch_size=64,
        lr_batch_size=None,
    )


STATISTICS = _recipe(
    "features-statistics", TimeStatisticsSpec(), dropout=0.0, lr=1e-2, weight_decay=0.1, head_std=0
)
LINEAR = _recipe("features-linear", FeaturesSpec(), dropout=0.0, lr=1e-2)
MLP = _recipe("features-mlp", LateAverageSpec(), dropout=0.5, lr=1e-3)
NETVLAD = _recipe("features-netvlad", NetVLADSpec(clusters=16), dropout=0.0, lr=1e-3)
