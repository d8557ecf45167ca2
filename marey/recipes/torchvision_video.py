"""R(2+1)D-18 and S3D as torchvision publishes them (references/video_classification, weights V1).

Both are trained on Kinetics-400 from nothing, at 15 frames a second, frames scaled to a height and
a width and not antialiased. R(2+1)D is trained on 16 frames and tested on five clips of as many,
S3D is trained on 64 and tested on one clip of 128.

Stochastic gradient descent with momentum for 64 processes, the rate rising along a line for the
first ten epochs and falling by ten after the 20th, 30th and 40th of 45. An epoch there has five
clips of every video, so that it is five epochs here.

**Deviates**: its test leaves out videos of fewer frames than a clip, here their last frame is
repeated. One clip lies in the middle, there at the beginning, and at rates that are no multiple of
15 the last clips may lie a frame later here: torchvision-5x1-upstream and torchvision-1x1-upstream
have its frames. The norms of S3D have a momentum of 0.001 there and of 0.1 here, its convolutions
begin as torch draws them there and from He's distribution here. Whether R(2+1)D was trained with
the statistics of all processes (sync-BN) is not said where its options are listed, but in the
command beside them; here it is.
"""

from __future__ import annotations

from marey.models.encoders.googlenet_clips import S3DSpec
from marey.models.encoders.r2plus1d import R2Plus1DSpec
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD, StepDecay, Warmup
from marey.recipes.published import PLAIN_FLIP, as_pretrained, head
from marey.recipes.recipe import Claim, Recipe, Stage, TestViews, Views
from marey.video.crops import CenterCrop, Size
from marey.video.sampling.resampled import ResampledClips
from marey.video.torchvision_crops import StretchedCrop

_CLIPS = 5
"""Of every video in an epoch of the published script."""


def _row(
    name: str,
    model: ModelSpec,
    test: ResampledClips,
    claim: Claim,
    *,
    size: int,
    resize: Size,
    lr: float,
    batch_size: int,
) -> Recipe:
    stage = Stage(
        epochs=45 * _CLIPS,
        optim=SGD(lr=lr, weight_decay=1e-4, groups="one", head_lr5=False),
        schedule=StepDecay((20 * _CLIPS, 30 * _CLIPS, 40 * _CLIPS)),
        warmup=Warmup(10 * _CLIPS, start=0.001),
    )
    return Recipe(
        name=name,
        model=model,
        train=Views(test.in_segments(model.num_segments), StretchedCrop(size, resize)),
        test=TestViews(test, CenterCrop(size, resize, antialias=False), "probs"),
        eval_every=_CLIPS,
        augment=as_pretrained(model.encoder, PLAIN_FLIP),
        stages=(stage,),
        batch_size=batch_size,
        lr_batch_size=64 * batch_size,
        clip_grad=None,
        sync_bn=True,
        claim=claim,
    )


def _claim(weights: str, top1: float, top5: float, millions: float) -> Claim:
    return Claim(top1=top1, top5=top5, source=f"torchvision, {weights}", params_millions=millions)


_R2PLUS1D = ModelSpec(
    R2Plus1DSpec(), num_segments=16, heads=head("k400"), dropout=0.0, head_std=0.01
)
_S3D = ModelSpec(
    S3DSpec(form="torchvision"), num_segments=64, heads=head("k400"), dropout=0.2, head_std=None
)
ROWS = (
    _row(
        "r2plus1d-r18-16f-k400",
        _R2PLUS1D,
        ResampledClips(16, clips=5),
        _claim("R2Plus1D_18_Weights.KINETICS400_V1", 67.463, 86.175, 31.505325),
        size=112,
        resize=(128, 171),
        lr=0.64,
        batch_size=24,
    ),
    _row(
        "s3d-64f-k400",
        _S3D,
        ResampledClips(128, clips=1),
        _claim("S3D_Weights.KINETICS400_V1", 68.368, 88.05, 8.320048),
        size=224,
        resize=(256, 256),
        lr=0.2,
        batch_size=12,
    ),
)
