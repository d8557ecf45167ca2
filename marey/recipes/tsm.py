"""TSM and TSN as temporal-shift-module publishes them (arXiv 1811.08383, README of commit 1f6a834).

SGD from ImageNet, the rate divided by ten twice; heads learn five times as fast. Clips of 8 or 16
frames, one from each segment, or from a window of 64 ("dense"). Kinetics' "uniform" rows give the
accuracy of one centre crop, dense rows that of 10 clips x 3 crops, Something-Something rows that of
2 clips x 3 crops of 256 pixels.

TSN's rows are of one file (`segment5` in its name): trained on 5 frames and tested on 8, those of
their names.

**Deviates**: weight decay is the 1e-4 that paper and author give for Something-Something, not the
option's default 5e-4. The schedule of the dense rows is that of their file names (e100), their rate
is not published. The crops of 256 pixels are those that the table of Something-Something speaks of
("full resolution"); the command beside it takes three crops of 224. Released files of
Something-Something are those of epoch 45 of the 50 (their names end in e45). The schedule for flow
is not published either. The online demo shows its network frames as OpenCV gives them, blue first;
here red comes first, as in the trainer.
"""

from __future__ import annotations

from dataclasses import replace

from marey.models.encoder import Encoder
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.nonlocal_block import NonLocal
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD
from marey.recipes.published import (
    center,
    dense,
    head,
    no_flip_of_sides,
    parameters,
    steps,
    twice_three,
)
from marey.recipes.recipe import Claim, Recipe, TestViews, Views
from marey.timelines.decisions import PublishedDemo
from marey.video.augment import Augment
from marey.video.crops import MultiScaleCrop, TenCrop
from marey.video.sampling.segments import Dense, Segments

_README = "README of mit-han-lab/temporal-shift-module"
_PAPER = "arXiv 1811.08383"
_R50, _R101, _MOBILENET = ResNetSpec(50), ResNetSpec(101), MobileNetV2Spec()
_RESNEXT101 = ResNetSpec(101, groups=32, width_per_group=8)
_FLOW = ResNetSpec(50, in_channels=10)
_SHIFT: tuple[TemporalOp, ...] = (TSM(),)
_PAST: tuple[TemporalOp, ...] = (TSM(direction="past"),)
_ATTEND: tuple[TemporalOp, ...] = (TSM(), NonLocal())

# (millions of parameters with 174 classes, GMACs a frame), of the original code
_COST = {
    (_R50, 0): (23.8646, 4.08749),
    (_R50, 1): (23.8646, 4.08749),
    (_R50, 2): (31.223, 7.63755),
    (_R101, 1): (42.8567, 7.79971),
    (_MOBILENET, 1): (2.4468, 0.299713),
    (_RESNEXT101, 1): (87.0989, 16.41233),
}


def _row(
    name: str,
    data: str,
    encoder: Encoder,
    ops: tuple[TemporalOp, ...],
    frames: int,
    test: TestViews,
    top1: float,
    note: str = "",
) -> Recipe:
    millions, gmacs = _COST.get((encoder, len(ops)), (None, None))
    is_dense = isinstance(test.sampling, Dense)
    features = 1280 if encoder == _MOBILENET else 2048
    return Recipe(
        name=f"{name}-{frames}f-{data}" + ("-dense" if is_dense else ""),
        model=ModelSpec(encoder, ops, num_segments=frames, heads=head(data)),
        train=Views(Dense(frames) if is_dense else Segments(frames)),
        test=test,
        augment=no_flip_of_sides(data),
        batch_size=8,
        lr_batch_size=64,
        stages=steps(50, 20, 40, optim=SGD(lr=0.01, weight_decay=1e-4)),
        weights="imagenet",
        save_best="acc/top1",
        smooth=1,
        claim=Claim(
            top1=top1,
            source=_README,
            params_millions=parameters(millions, data, features) if millions else None,
            gmacs_per_view=test.sampling.frames * gmacs if gmacs else None,
            note=note,
        ),
    )


def _uniform(
    name: str,
    ops: tuple[TemporalOp, ...],
    frames: int,
    test: TestViews,
    top1: float,
    note: str,
) -> Recipe:
    row = replace(
        _row(name, "k400", _R50, ops, frames, test, top1, note), train=Views(Segments(frames))
    )
    optim = SGD(lr=0.02, weight_decay=1e-4)
    return replace(row, stages=steps(50, 20, 40, optim=optim), batch_size=16, lr_batch_size=128)


def _tsm(frames: int, top1: float, ten_crops: float) -> Recipe:
    note = f"{ten_crops} with ten crops: test.crop=TenCrop"
    return _uniform("tsm-r50", _SHIFT, frames, center(frames), top1, note)


def _dense(
    name: str, encoder: Encoder, ops: tuple[TemporalOp, ...], top1: float, note: str = ""
) -> Recipe:
    row = _row(name, "k400", encoder, ops, 8, dense(8), top1, note)
    return replace(row, stages=steps(100, 40, 80, optim=SGD(lr=0.01, weight_decay=1e-4)))


def _tsn(test: TestViews, top1: float, suffix: str = "") -> Recipe:
    """TSN in these test views: the README links one file for all of them."""
    note = "trained on 5 frames, tested on 8: TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth"
    row = _uniform("tsn-r50", (), 5, test, top1, note)
    return replace(row, name=f"tsn-r50-{test.sampling.frames}f-k400{suffix}")


def _something(
    name: str, data: str, encoder: Encoder, frames: int, top1: float, center_crop: float | None
) -> Recipe:
    note = f"{center_crop} with one clip, centre crop of 224 pixels" if center_crop else ""
    return _row(name, data, encoder, _SHIFT, frames, twice_three(frames), top1, note)


def _fine_tuned(data: str, top1: float) -> Recipe:
    """From Kinetics, with frozen batch norms and much dropout."""
    row = _row("tsm-r50", data, _R50, _SHIFT, 8, twice_three(8), top1)
    assert row.claim is not None
    return replace(
        row,
        model=replace(row.model, dropout=0.8, partial_bn=True),
        stages=steps(25, 10, 20, optim=SGD(lr=0.001, weight_decay=5e-4)),
        weights="from:tsm-r50-8f-k400",
        claim=replace(row.claim, source=_PAPER, note="the test views are not published"),
    )


ROWS = (
    # Kinetics-400, uniform: one crop, but for 10crop
    _tsn(center(8), 68.8),
    _tsn(replace(center(8), crop=TenCrop()), 69.9, "-10crop"),
    _tsm(8, 71.2, 72.8),
    _tsm(16, 72.6, 73.7),
    # Kinetics-400, dense: 10 clips x 3 crops
    _tsn(dense(8), 70.6, "-dense"),
    _dense("tsm-r50", _R50, _SHIFT, 74.1),
    _dense("tsm-r50-nl", _R50, _ATTEND, 75.6),
    _dense("tsm-resnext101", _RESNEXT101, _SHIFT, 76.3, "no weights were released"),
    _dense("tsm-mobilenetv2", _MOBILENET, _SHIFT, 69.5, "69.54 / 88.66 measured by mmaction2"),
    # Something-Something: 2 clips x 3 crops
    _something("tsm-r50", "ssv1", _R50, 8, 47.2, 45.6),
    _something("tsm-r50", "ssv1", _R50, 16, 48.4, 47.2),
    _something("tsm-r101", "ssv1", _R101, 8, 48.7, 46.9),
    _something("tsm-r50", "ssv2", _R50, 8, 61.2, None),
    _something("tsm-r50", "ssv2", _R50, 16, 63.1, None),
    _something("tsm-r101", "ssv2", _R101, 8, 63.3, None),
    # fine-tuned from Kinetics
    _fine_tuned("ucf101", 95.9),
    _fine_tuned("hmdb51", 73.5),
)

JESTER = replace(
    _row("tsm-r50", "jester", _R50, _SHIFT, 8, twice_three(8), 97.0),
    claim=Claim(
        top1=97.0,
        source=_PAPER,
        note="trained as Something-Something; its own recipe is unpublished",
    ),
)

ONLINE_JESTER = replace(
    _row("tsm-mobilenetv2-online", "jester", _MOBILENET, _PAST, 8, center(8), 0.0),
    claim=None,
    decision=PublishedDemo(),
)
"""The network of the online demo, which has no published accuracy and no published training. Its
author trains clips with the shift that only looks back, and their mean as consensus (issue 11)."""

FLOW = replace(
    _row("tsm-r50-flow", "k400", _FLOW, _SHIFT, 8, center(8), 55.7),
    model=ModelSpec(_FLOW, _SHIFT, num_segments=8, modality="flow", heads=head("k400")),
    train=Views(Segments(8), MultiScaleCrop(scales=(1.0, 0.875, 0.75))),
    augment=Augment(flip="plain", mean=(0.5,), std=(0.226,)),
    claim=Claim(
        top1=55.7, source=_README, top5=79.5, note="five (x, y) flow fields a frame, stacked"
    ),
)
