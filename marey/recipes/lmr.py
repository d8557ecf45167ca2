"""LMR's rows: Motionformer in two stages (arXiv 2304.01143, yaml of tobyperrett/lmr-release).

The first stage learns from clips as often as they come. The second starts from it with new heads,
draws every class equally often and learns all weights on, at a tenth of the rate, with LMR. (cRT,
after which the authors call this their set-up, would keep the features as they are:
`stages.1.trainable=heads`.) Both rows are LMR as it was released; what the paper says instead is
`stages.1.objective.variant=paper`. Any other recipe is followed by such a stage as ``tsm-r18+lmr``.

**Deviates**: the release says nothing of its accuracies that could be read, so nothing is claimed.
RandAugment is as `marey.video.rand_augment` says. Test clips of EPIC-100 reach from the first frame
to the last; they are 128 frames wide, and 107 where the manifest's column fps says 50. Of its two
heads, noun was never trained; here there is only verb. In the release's second stage all processes
drew the same clips, none of the highest class; here each draws its own from all classes. The yaml
of SSv2-LT tests ten clips, which its sampler makes all the same; here it is one.
"""

from __future__ import annotations

from dataclasses import replace

from marey.longtail.lmr import LMR
from marey.longtail.objective import CrossEntropy
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.longtail import lmr
from marey.recipes.motionformer import STRONGEST
from marey.recipes.optim import AdamW, StepDecay
from marey.recipes.recipe import Recipe, Stage, TestViews, Views
from marey.video.augment import Augment
from marey.video.motionformer_crops import JitteredCrop, UniformCrop
from marey.video.sampling.motionformer import TimedClips
from marey.video.sampling.segments import Sampling, Segments


def _recipe(
    name: str,
    head: Head,
    objective: LMR,
    augment: Augment,
    *,
    sampling: Sampling,
    crop: JitteredCrop,
    epochs: int,
    milestones: tuple[float, ...],
) -> Recipe:
    first = Stage(
        epochs=epochs,
        optim=AdamW(lr=1e-4, weight_decay=0.05, groups="one"),
        schedule=StepDecay(milestones),
        objective=CrossEntropy(label_smoothing=0.2),
    )
    alone = Recipe(
        name=name,
        model=ModelSpec(
            MotionformerSpec(), num_segments=16, heads=(head,), dropout=0.0, head_std=0.02
        ),
        train=Views(sampling, crop),
        test=TestViews(sampling, UniformCrop(224, 224), average="probs"),
        eval_every=5,
        augment=replace(augment, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        stages=(first,),
        batch_size=7,
        lr_batch_size=56,
        clip_grad=None,
        amp=True,
        weights="imagenet",
    )
    return replace(lmr(alone, objective), name=name)


EPIC_100_VERBS = _recipe(
    "lmr-motionformer-epic100-verbs",
    Head("verb", 97),
    LMR(l=1.0, h=0.01, d=0.15, mix=1.0, variant="released"),
    Augment(flip="plain", randaugment=STRONGEST, channel_order="bgr"),
    sampling=TimedClips(16, stride=8, fps=60, clips=10),
    crop=JitteredCrop(),
    epochs=50,
    milestones=(30, 40),
)
SSV2_LT = _recipe(
    "lmr-motionformer-ssv2-lt",
    Head("label", 174),
    LMR(l=0.6, h=0.001, d=0.25, mix=0.5, variant="released"),
    Augment(randaugment=STRONGEST),
    sampling=Segments(16),
    crop=JitteredCrop(draw="inverse"),
    epochs=35,
    milestones=(20, 30),
)
