"""Group Contextualization on TSN, TSM, GST and TDN (arXiv 2203.09694, README of commit b99be50).

The README's "frames x view x clip" are crops x clips: two clips on Something-Something (one for
GC-TDN), ten on Kinetics (three crops for GC-TDN and where the name says so), one elsewhere.
Calibrators learn five times as fast as the rest, but for GC-TDN, whose trainer ignores its groups.

Of the size of a test crop the sources say two things: the README "224 x 224" of
Something-Something, the script beside it ``--full_res``, which is the full 256 pixels. Rows of
GC-TSN, GC-TSM and GC-GST follow the script, and `marey eval RUN --protocol gc-2x1-224` the README.
For GC-TDN the README sends to TDN's files, whose centre crop is of 224 and whose three crops are of
the full 256 pixels, and so are its rows.

The README's rows "(8+16)" average the logits of two models: `marey.recipes.ensembles`.

**Deviates**: only the schedule for Something-Something V1 is published; all data sets have it here,
from ImageNet, and on Kinetics windows of 64 frames. GC-TDN's own schedule is for 64 clips on 8
processes. The batch norm of gate G sees the clips of one process: 8, as published. GC-TDN's ten
clips of Kinetics were drawn at random, here each segment gives one from each of its tenths.
GC-TSN's trainer forces pictures to 320 x 240 first and validates on such, its test does not; here
pictures keep their shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from marey.models.encoder import Encoder
from marey.models.encoders.resnet import ResNetSpec
from marey.models.encoders.tdn import TDNSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.group_context import GroupContext
from marey.models.temporal.gst import GST
from marey.models.temporal.tdn import LongTermDifference
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD
from marey.recipes.published import (
    center,
    center_full,
    dense,
    head,
    parameters,
    steps,
    swap_of_sides,
    ten_three,
    twice,
)
from marey.recipes.recipe import Claim, Recipe, TestViews, Views
from marey.video.sampling.segments import Dense, Segments

_SAID_224 = (
    "224 pixels: README, and TDN's test file; the other hosts' script is of 256 (--full_res)"
)
_SAID_256 = "256 pixels: the test script (--full_res); the README says 224 x 224"
README = "README of haoyanbin918/Group-Contextualization"


@dataclass(frozen=True)
class _Host:
    encoder: Encoder
    ops: tuple[TemporalOp, ...]
    millions: float
    """Parameters of the original with 174 classes."""
    gmacs: Mapping[int, float]
    """Of the original, by its number of segments."""


_HOSTS = {
    "gc-tsn": _Host(ResNetSpec(50), (GroupContext(),), 25.1296, {8: 33.1258, 16: 66.1359}),
    "gc-tsm": _Host(
        ResNetSpec(50),
        (TSM(alternate="stage"), GroupContext()),
        25.1296,
        {8: 33.1258, 16: 66.1359},
    ),
    "gc-gst": _Host(
        ResNetSpec(50),
        (GST(), GroupContext(loop=True, site="after_conv2", norm=False)),
        22.2927,
        {8: 29.4264, 16: 58.7371},
    ),
    "gc-tdn": _Host(
        TDNSpec(50),
        (
            LongTermDifference(),
            GroupContext(site=("after_bn2", "after_bn1", "after_bn1", "after_bn1")),
        ),
        25.6977,
        {8: 36.3229, 16: 72.4597},
    ),
}


def _row(
    host: str, data: str, t: int, test: TestViews, top1: float, top5: float | None, note: str = ""
) -> Recipe:
    it = _HOSTS[host]
    optim = SGD(lr=0.01, weight_decay=1e-4, head_lr5=False, calibrator_lr=5)
    recipe = Recipe(
        name=f"{host}-r50-{t}f-{data}",
        model=ModelSpec(it.encoder, it.ops, num_segments=t, heads=head(data)),
        train=Views(Segments(t, it.encoder.frames_per_segment)),
        test=test,
        augment=swap_of_sides(data),
        batch_size=8,
        lr_batch_size=32,
        stages=steps(50, 20, 40, optim=optim),
        weights="imagenet",
        save_best="acc/top1",
        smooth=1,
        claim=Claim(
            top1=top1,
            source=README,
            top5=top5,
            params_millions=parameters(it.millions, data),
            gmacs_per_view=it.gmacs[t],
            note=note,
        ),
    )
    if host != "gc-tdn":
        return recipe
    optim = SGD(lr=0.01, weight_decay=5e-4, groups="one", head_lr5=False)
    return replace(recipe, stages=steps(60, 30, 45, 55, optim=optim), lr_batch_size=64)


def _something(host: str, t: int, v1: tuple[float, float], v2: tuple[float, float]) -> list[Recipe]:
    """The two rows of a model: (top-1, top-5) on version 1 and on version 2."""
    if host == "gc-tdn":
        test, note = _once(host, t), _SAID_224
    else:
        test, note = twice(t), _SAID_256
    return [_row(host, data, t, test, *acc, note) for data, acc in (("ssv1", v1), ("ssv2", v2))]


def _kinetics(host: str, t: int, top1: float, top5: float, *, crops: int = 1) -> Recipe:
    if host == "gc-tdn":
        return _row(host, "k400", t, ten_three(t, 5), top1, top5)
    recipe = _row(host, "k400", t, dense(t, crops=crops), top1, top5)
    recipe = replace(recipe, train=Views(Dense(t)))
    return recipe if crops == 1 else replace(recipe, name=f"{recipe.name}-3crop")


def _once(host: str, t: int) -> TestViews:
    """One clip, one crop: of 224 pixels by TDN's test file, of the full 256 by the script."""
    return center(t, 5) if host == "gc-tdn" else center_full(t)


def _diving(host: str, top1: float) -> Recipe:
    return _row(host, "diving48", 16, _once(host, 16), top1, None)


def _egtea(host: str, *splits: float) -> Recipe:
    note = f"split 1; {splits[1]} on split 2, {splits[2]} on split 3"
    return _row(host, "egtea", 8, _once(host, 8), splits[0], None, note)


ROWS = (
    *_something("gc-gst", 8, v1=(48.8, 78.5), v2=(61.9, 87.8)),
    *_something("gc-gst", 16, v1=(50.4, 79.4), v2=(63.3, 88.5)),
    *_something("gc-tsn", 8, v1=(49.7, 78.2), v2=(62.4, 87.9)),
    *_something("gc-tsn", 16, v1=(51.3, 80.0), v2=(64.8, 89.4)),
    *_something("gc-tsm", 8, v1=(51.1, 79.4), v2=(63.0, 88.4)),
    *_something("gc-tsm", 16, v1=(53.1, 81.2), v2=(64.9, 89.7)),
    *_something("gc-tdn", 8, v1=(53.7, 82.2), v2=(64.9, 89.7)),
    *_something("gc-tdn", 16, v1=(55.0, 82.3), v2=(65.9, 90.0)),
    _kinetics("gc-tsn", 8, 75.2, 92.1),
    _kinetics("gc-tsm", 8, 75.4, 91.9),
    _kinetics("gc-tsm", 16, 76.7, 92.9),
    _kinetics("gc-tsm", 16, 77.1, 92.9, crops=3),
    _kinetics("gc-tdn", 8, 77.3, 93.2),
    _kinetics("gc-tdn", 16, 78.8, 93.8),
    _diving("gc-gst", 82.5),
    _diving("gc-tsn", 86.8),
    _diving("gc-tsm", 87.2),
    _diving("gc-tdn", 87.6),
    _egtea("gc-gst", 65.5, 61.6, 60.6),
    _egtea("gc-tsn", 66.4, 64.6, 61.4),
    _egtea("gc-tsm", 66.5, 66.1, 62.6),
    _egtea("gc-tdn", 65.0, 61.8, 61.0),
)
