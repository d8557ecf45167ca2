"""TSN as mmaction2 trains it (arXiv 1608.00859, configs/recognition/tsn of open-mmlab/mmaction2).

The classic pair: 3 segments in training, 25 segments x 10 crops in the test. The logits of all 250
frames are averaged. One rate and one weight decay for everything, from ImageNet.

**Deviates**: its training crops lie in the corners or the centre, here in 13 places, as in the code
of TSN itself. Later configurations start from the second weights of ResNet-50 in torchvision, here
it is the first, as in the row of the claim.
"""

from __future__ import annotations

from marey.models.encoders.resnet import ResNetSpec
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD
from marey.recipes.published import PLAIN_FLIP, head, parameters, steps
from marey.recipes.recipe import Claim, Recipe, TestViews, Views
from marey.video.crops import TenCrop
from marey.video.sampling.segments import Segments

TSN_3_25 = Recipe(
    name="tsn-r50-3f-k400",
    model=ModelSpec(ResNetSpec(50), num_segments=3, heads=head("k400"), dropout=0.4, head_std=0.01),
    train=Views(Segments(3)),
    test=TestViews(Segments(25), TenCrop()),
    augment=PLAIN_FLIP,
    batch_size=32,
    lr_batch_size=256,
    clip_grad=40.0,
    stages=steps(100, 40, 80, optim=SGD(lr=0.01, weight_decay=1e-4, groups="one", head_lr5=False)),
    weights="imagenet",
    claim=Claim(
        top1=70.42,
        top5=89.03,
        source="README of open-mmlab/mmaction2, tsn_r50_1x1x3_100e_kinetics400_rgb",
        params_millions=parameters(23.8646, "k400"),
        gmacs_per_view=25 * 4.08749,
        note="short side 256; 70.60 / 89.26 on frames of 340 x 256, 72.83 / 90.65 from "
        "torchvision's second weights",
    ),
)
