"""VideoLT's rows on its features (arXiv 2105.02668, its scripts and model zoo).

One hidden layer a frame and logits averaged over frames, on the 2048 features a frame that its
authors hand out (ResNet-101, ResNet-50 and TSM on ResNet-50, each pooled). Training draws 60 frames
of a video, test takes 150. Numbers are mean average precisions over the 1004 classes. FrameStack's
`warm_epoch` is 0: the first epoch measures, the second stacks, which is `warm_epochs` 1 here.

`marey data init` reads its lists; their clips are ``.npy`` files, and 295 GB a network.

**Deviates**: the number of a row is the best of its epochs on the test list; here the best epoch is
that of the validation list. Head, medium and tail are classes of more than 500, more than 100 and
up to 100 clips. With resampling, the authors leave the other classes of a clip that was drawn for
one out of the loss, and take its sum over classes; here they count, and it is the mean. Deferred
re-weighting begins a stage, and with it Adam anew. Mixup draws a weight for every clip and mixes it
with the next one of the batch, which is as random as another. A class without a clip to test counts
0 there, and is left out of the mean here.
"""

from __future__ import annotations

from dataclasses import replace

from marey.data.loading.samplers import ClassBalanced, SquareRoot
from marey.longtail.framestack import FrameStack
from marey.longtail.sigmoid import (
    BinaryCrossEntropy,
    SigmoidClassBalanced,
    SigmoidEQL,
    SigmoidFocal,
    SigmoidLDAM,
)
from marey.models.encoders.features import LateAverageSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.optim import AdamW, StepDecay
from marey.recipes.recipe import Claim, DataSpec, Recipe, Stage, TestViews, Views
from marey.video.augment import Augment
from marey.video.sampling.segments import EvenFrames

_SOURCE = "MODELZOO.md of 17Skye17/VideoLT"
_ADAM = AdamW(lr=1e-4, weight_decay=0.0)
_PLAIN = Stage(
    epochs=100, optim=_ADAM, schedule=StepDecay((30, 60)), objective=BinaryCrossEntropy()
)
_DEFERRED = (
    Stage(epochs=50, optim=_ADAM, schedule=StepDecay((30,)), objective=SigmoidLDAM()),
    Stage(
        epochs=50,
        optim=replace(_ADAM, lr=1e-5),
        schedule=StepDecay((10,)),
        objective=SigmoidLDAM(beta=0.9999),
    ),
)
_STAGES: dict[str, tuple[Stage, ...]] = {
    "bce": (_PLAIN,),
    "ldam-drw": _DEFERRED,
    "eql": (replace(_PLAIN, objective=SigmoidEQL()),),
    "cb": (replace(_PLAIN, objective=SigmoidClassBalanced()),),
    "cbs": (replace(_PLAIN, sampler=ClassBalanced()),),
    "srs": (replace(_PLAIN, sampler=SquareRoot()),),
    "mixup": (_PLAIN,),
    "framestack": (replace(_PLAIN, objective=FrameStack(SigmoidFocal(1.0))),),
}
_CLAIMS: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "r101": {
        "bce": (51.6, 68.7, 56.8, 39.6),
        "ldam-drw": (51.8, 68.7, 57.2, 39.7),
        "eql": (51.8, 69.0, 57.1, 39.8),
        "cb": (51.1, 66.5, 56.1, 39.8),
        "cbs": (50.7, 66.0, 55.9, 39.0),
        "srs": (51.6, 68.0, 56.8, 39.9),
        "mixup": (49.5, 66.0, 54.6, 38.1),
        "framestack": (53.2, 69.5, 58.4, 41.7),
    },
    "r50": {
        "bce": (49.9, 67.5, 55.3, 37.6),
        "ldam-drw": (50.2, 68.0, 55.7, 37.8),
        "eql": (50.2, 67.9, 55.7, 37.8),
        "cb": (49.5, 65.3, 54.6, 38.1),
        "cbs": (49.1, 64.9, 54.5, 37.1),
        "srs": (48.6, 65.5, 53.9, 36.5),
        "mixup": (48.4, 64.9, 53.5, 36.8),
        "framestack": (51.6, 68.3, 56.9, 39.7),
    },
    "tsm-r50": {
        "bce": (56.5, 75.7, 62.0, 43.6),
        "ldam-drw": (56.5, 75.0, 62.0, 43.9),
        "eql": (56.7, 75.7, 62.3, 43.9),
        "cb": (56.3, 74.4, 61.6, 44.0),
        "cbs": (55.8, 73.3, 61.2, 43.5),
        "mixup": (54.8, 73.6, 60.2, 42.5),
        "framestack": (58.0, 75.9, 63.2, 45.9),
    },
}
"""mAP of all, head, medium and tail classes, in percent."""


def _row(network: str, method: str) -> Recipe:
    whole, head, medium, tail = _CLAIMS[network][method]
    return Recipe(
        name=f"videolt-{method}-{network}",
        model=ModelSpec(
            LateAverageSpec(2048),
            (),
            num_segments=60,
            heads=(Head("label", 1004, several=True),),
            head_std=None,
        ),
        data=DataSpec(workers=0),
        train=Views(EvenFrames(60)),
        test=TestViews(EvenFrames(150)),
        eval_every=5,
        augment=Augment(mixup=1.0 if method == "mixup" else 0.0),
        stages=_STAGES[method],
        batch_size=128,
        lr_batch_size=None,
        seed=2021,
        save_best="mAP",
        smooth=1,
        claim=Claim(
            top1=None,
            source=_SOURCE,
            note=f"head {head}, medium {medium}, tail {tail}",
            mean_ap=whole,
            params_millions=6.2535,
        ),
    )


ROWS = tuple(_row(network, method) for network, methods in _CLAIMS.items() for method in methods)
