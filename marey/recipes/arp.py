"""TSN, TAM-ResNet and I3D-ResNet of action-recognition-pytorch (IBM, README at 67cc96f).

Comparisons on small halves of Something-Something, Kinetics and Moments in Time, for 8, 16, 32 and
64 frames without a stride in time, and four released models of 32 frames. Eight frames start from
ImageNet and train along a cosine, longer clips start from eight frames.

Frames are those of the released code, as `blvnet` says.

**Deviates**: mirror images and short videos of Kinetics are as `blvnet` says. Test views of the
small sets are not published: one centre crop here. Of the released models neither the schedule nor
whether time is pooled is known; they have the schedule of longer clips here, from ImageNet, and no
pooling. I3D starts with filters that are repeated and not divided, as theirs did. Its GMACs as
printed there do not agree with the code; those of the claims are counted on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from marey.models.encoder import Encoder
from marey.models.encoders.i3d import I3DResNetSpec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.nonlocal_block import NonLocal
from marey.models.temporal.tam import TAM
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD
from marey.recipes.published import (
    CENTER,
    THREE_LONGER,
    cosine,
    dense,
    head,
    parameters,
    steps,
    swap_of_sides,
)
from marey.recipes.recipe import Claim, Recipe, TestViews, Views
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.segments import Dense

_README = "README of IBM/action-recognition-pytorch"
_LENGTHS = (8, 16, 32, 64)


@dataclass(frozen=True)
class _Net:
    encoder: Encoder
    ops: tuple[TemporalOp, ...] = ()
    millions: float | None = None
    gmacs: float | None = None
    """Of a frame; parameters and GMACs are the originals', with 174 classes."""


_TAM: tuple[TemporalOp, ...] = (TAM(init="reference"),)
_NETS = {
    "tsn-r50": _Net(ResNetSpec(50), (), 23.864558, 4.08749),
    "tam-r50": _Net(ResNetSpec(50), _TAM, 23.903918, 4.10435),
    "tam-r101": _Net(ResNetSpec(101), _TAM, 42.948270, 7.82681),
    "i3d-r50": _Net(I3DResNetSpec(50, inflation="repeated"), (), 46.517870, 8.0229),
    "i3d-r101": _Net(I3DResNetSpec(101, inflation="repeated")),
}


def _row(net: str, data: str, frames: int, top1: float) -> Recipe:
    it = _NETS[net]
    is_first = frames == 8
    optim = SGD(lr=0.01, weight_decay=5e-4, groups="one", head_lr5=False)
    sampling = Uniform(frames, variant="upstream")
    epochs = 100 if data == "mini-k400" else 75
    return Recipe(
        name=f"{net}-{frames}f-{data}",
        model=ModelSpec(it.encoder, it.ops, num_segments=frames, heads=head(data)),
        train=Views(sampling),
        test=TestViews(sampling, CENTER),
        augment=swap_of_sides(data),
        batch_size=9,
        lr_batch_size=72,
        clip_grad=None,
        stages=cosine(epochs, optim=optim) if is_first else steps(35, 15, 30, optim=optim),
        weights="imagenet" if is_first else f"from:{net}-8f-{data}",
        claim=Claim(
            top1=top1,
            source=_README,
            params_millions=parameters(it.millions, data) if it.millions else None,
            gmacs_per_view=frames * it.gmacs if it.gmacs else None,
        ),
    )


def _lengths(net: str, data: str, *top1: float) -> list[Recipe]:
    """The rows of a net on a small set, of 8, 16, 32 and 64 frames."""
    return [_row(net, data, frames, acc) for frames, acc in zip(_LENGTHS, top1, strict=True)]


def _released(net: str, k400: float, ssv2: float) -> list[Recipe]:
    """Of 32 frames: every second frame and 10 x 3 views of Kinetics, 2 x 3 of the other."""
    kinetics, something = _row(net, "k400", 32, k400), _row(net, "ssv2", 32, ssv2)
    two_clips = Uniform(32, clips=2, variant="upstream")
    return [
        replace(
            kinetics,
            train=Views(Dense(32, span=64)),
            test=TestViews(Dense(32, span=64, clips=10), THREE_LONGER),
            weights="imagenet",
        ),
        replace(something, test=TestViews(two_clips, THREE_LONGER), weights="imagenet"),
    ]


ROWS = (
    *_lengths("tsn-r50", "mini-ssv2", 33.9, 35.3, 36.3, 36.8),
    *_lengths("tam-r50", "mini-ssv2", 65.4, 68.6, 69.3, 71.6),
    *_lengths("i3d-r50", "mini-ssv2", 62.6, 66.2, 67.6, 69.0),
    *_lengths("tsn-r50", "mini-k400", 72.1, 72.5, 73.5, 73.5),
    *_lengths("tam-r50", "mini-k400", 74.1, 76.4, 77.8, 78.3),
    *_lengths("i3d-r50", "mini-k400", 73.3, 75.6, 77.2, 77.7),
    *_lengths("tsn-r50", "mini-mit", 22.6, 23.7, 23.9, 23.9),
    *_lengths("tam-r50", "mini-mit", 26.0, 28.2, 28.8, 28.9),
    *_lengths("i3d-r50", "mini-mit", 24.6, 26.5, 27.5, 27.6),
    *_released("i3d-r50", k400=76.61, ssv2=62.84),
    *_released("tam-r50", k400=76.18, ssv2=63.83),
    *_released("i3d-r101", k400=77.80, ssv2=64.29),
    *_released("tam-r101", k400=77.61, ssv2=65.32),
)


def _quoted(name: str, ops: tuple[TemporalOp, ...], top1: float) -> Recipe:
    """I3D as the README of TSM quotes it: 10 x 3 views of windows of 64 frames."""
    row = _row("i3d-r50", "k400", 32, top1)
    source = "quoted in the README of mit-han-lab/temporal-shift-module"
    claim = Claim(
        top1=top1, source=source, note="network and training are those of arXiv 1711.07971"
    )
    model = replace(row.model, temporal=ops)
    return replace(
        row,
        name=name,
        model=model,
        train=Views(Dense(32)),
        test=dense(32),
        weights="imagenet",
        claim=claim,
    )


I3D = _quoted("i3d-r50-32f-k400-dense", (), 73.3)
I3D_NL = _quoted("i3d-r50-nl-32f-k400-dense", (NonLocal(),), 74.9)
