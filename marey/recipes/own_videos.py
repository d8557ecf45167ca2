"""Recipes for your own videos: the heads come from your manifest, nothing is claimed.

Each flips nothing, because a mirror image often is another class (left and right); say
`augment.flip=plain` if it is not so with yours.
"""

from __future__ import annotations

from dataclasses import replace

from marey.models.encoder import Encoder
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD, Cosine, Warmup
from marey.recipes.recipe import Recipe, Stage, TestViews, Views
from marey.timelines.decisions import MeanOfLast
from marey.video.crops import CenterCrop, MultiScaleCrop


def _recipe(
    name: str, encoder: Encoder, temporal: tuple[TemporalOp, ...], *, size: int, short_side: int
) -> Recipe:
    return Recipe(
        name=name,
        model=ModelSpec(encoder, temporal, num_segments=8, heads=()),
        train=Views(crop=MultiScaleCrop(size)),
        test=TestViews(crop=CenterCrop(size, resize=short_side)),
        stages=(
            Stage(
                epochs=30,
                optim=SGD(lr=0.01, weight_decay=5e-4, head_lr5=False),
                schedule=Cosine(),
                warmup=Warmup(epochs=2),
            ),
        ),
    )


TSN_R18 = _recipe("tsn-r18", ResNetSpec(18), (), size=112, short_side=128)
TSM_R18 = _recipe("tsm-r18", ResNetSpec(18), (TSM(),), size=112, short_side=128)
TSN_MOBILENETV2 = _recipe("tsn-mobilenetv2", MobileNetV2Spec(), (), size=224, short_side=256)
TSM_MOBILENETV2 = _recipe("tsm-mobilenetv2", MobileNetV2Spec(), (TSM(),), size=224, short_side=256)
TSM_MOBILENETV2_ONLINE = replace(
    _recipe(
        "tsm-mobilenetv2-online",
        MobileNetV2Spec(),
        (TSM(direction="past"),),
        size=224,
        short_side=256,
    ),
    decision=MeanOfLast(8),
)
"""For streams: it only looks back, so that `marey stream` shows it each frame once."""
TSN_R50 = _recipe("tsn-r50", ResNetSpec(50), (), size=224, short_side=256)
TSM_R50 = _recipe("tsm-r50", ResNetSpec(50), (TSM(),), size=224, short_side=256)
