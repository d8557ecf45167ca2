"""GST and GST-Large (arXiv 1909.13130, README of chenxuluo/GST-video).

One clip, centre crop of 224 pixels, from ImageNet. GST-Large is beta 1: both kinds of filter see
all channels. Rates, batch, dropout and schedule are the defaults of its options.

**Deviates**: the released network takes pictures of 224 pixels alone; here any size.
"""

from __future__ import annotations

from marey.models.encoders.resnet import ResNetSpec
from marey.models.temporal.gst import GST
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD
from marey.recipes.published import center, head, steps, swap_of_sides
from marey.recipes.recipe import Claim, Recipe, Views
from marey.video.sampling.segments import Segments

_README = "README of chenxuluo/GST-video"


def _row(name: str, data: str, t: int, op: GST, top1: float, cost: tuple[float, float]) -> Recipe:
    return Recipe(
        name=f"{name}-r50-{t}f-{data}",
        model=ModelSpec(ResNetSpec(50), (op,), num_segments=t, heads=head(data), dropout=0.3),
        train=Views(Segments(t)),
        test=center(t),
        augment=swap_of_sides(data),
        batch_size=8,
        lr_batch_size=24,
        stages=steps(70, 50, 60, optim=SGD(lr=0.01, weight_decay=3e-4, head_lr5=False)),
        weights="imagenet",
        save_best="acc/top1",
        smooth=1,
        claim=Claim(top1=top1, source=_README, params_millions=cost[0], gmacs_per_view=cost[1]),
    )


_SMALL, _LARGE = GST(4, 2), GST(4, 1)

ROWS = (
    _row("gst", "ssv1", 8, _SMALL, 47.0, (21.0352, 29.0006)),
    _row("gst", "ssv1", 16, _SMALL, 48.6, (21.0352, 58.0011)),
    _row("gst-large", "ssv1", 8, _LARGE, 47.7, (29.5232, 40.0987)),
    _row("gst", "ssv2", 8, _SMALL, 61.6, (21.0352, 29.0006)),
    _row("gst", "ssv2", 16, _SMALL, 62.6, (21.0352, 58.0011)),
    _row("gst-large", "ssv2", 8, _LARGE, 62.0, (29.5232, 40.0987)),
)
