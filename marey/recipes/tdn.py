"""TDN (arXiv 2012.10071, README of MCG-NJU/TDN at a7c7e9b).

Five frames a segment, 8 or 16 segments. One rate and one weight decay for everything: the trainer
makes TSM's groups and never applies what they say. Something-Something rows are of one centre crop
or, where the name says so, of three crops of the full 256 pixels; Kinetics rows of 10 clips x 3
crops. Probabilities of the views are averaged. Rows (8+16) stand in `marey.recipes.ensembles`.

**Deviates**: Kinetics' ten clips were drawn at random, so that the number varied from run to run;
here each segment gives one from each of its tenths, the same in every run (`ten_three`). Upstream a
video of no more frames than segments + 4 (20 for 16 segments) is its first five frames everywhere,
in validation and test; here its segments keep their places (`tdn-1x1-upstream` are those frames).
Schedules of UCF101 and HMDB51 are those that the authors give in an issue.
"""

from __future__ import annotations

from dataclasses import replace

from marey.models.encoders.tdn import TDNSpec
from marey.models.temporal.tdn import LongTermDifference
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD
from marey.recipes.published import (
    center,
    head,
    parameters,
    steps,
    swap_of_sides,
    ten_three,
    three_full,
)
from marey.recipes.recipe import Claim, Recipe, Views
from marey.video.sampling.segments import Segments

_README, _PAPER = "README of MCG-NJU/TDN", "arXiv 2012.10071"
_MILLIONS = {50: 24.42, 101: 43.6817}
_GMACS = {50: 4.454838, 101: 8.230238}  # a segment


def _row(depth: int, data: str, t: int, top1: float, top5: float | None = None) -> Recipe:
    return Recipe(
        name=f"tdn-r{depth}-{t}f-{data}",
        model=ModelSpec(TDNSpec(depth), (LongTermDifference(),), num_segments=t, heads=head(data)),
        train=Views(Segments(t, 5)),
        test=center(t, 5),
        augment=swap_of_sides(data),
        batch_size=8,
        lr_batch_size=64,
        stages=steps(60, 30, 45, 55, optim=_one_rate(0.01, 5e-4)),
        weights="imagenet",
        save_best="acc/top1",
        smooth=1,
        claim=Claim(
            top1=top1,
            source=_README,
            top5=top5,
            params_millions=parameters(_MILLIONS[depth], data),
            gmacs_per_view=t * _GMACS[depth],
        ),
    )


def _three_crops(depth: int, data: str, t: int, top1: float, top5: float) -> Recipe:
    row = _row(depth, data, t, top1, top5)
    return replace(row, name=f"{row.name}-3crop", test=three_full(t, 5))


def _kinetics(depth: int, t: int, top1: float, top5: float) -> Recipe:
    return replace(
        _row(depth, "k400", t, top1, top5),
        test=ten_three(t, 5),
        batch_size=16,
        lr_batch_size=128,
        stages=steps(100, 50, 75, 90, optim=_one_rate(0.02, 1e-4)),
    )


def _fine_tuned(data: str, top1: float) -> Recipe:
    row = _row(50, data, 16, top1)
    assert row.claim is not None
    return replace(
        row,
        model=replace(row.model, dropout=0.8),
        batch_size=16,
        lr_batch_size=128,
        stages=steps(25, 10, 20, optim=_one_rate(0.002, 5e-4)),
        weights="from:tdn-r50-16f-k400",
        claim=replace(row.claim, source=_PAPER, note="the test views are not published"),
    )


def _one_rate(lr: float, weight_decay: float) -> SGD:
    return SGD(lr=lr, weight_decay=weight_decay, groups="one", head_lr5=False)


ROWS = (
    _row(50, "ssv1", 8, 52.3, 80.6),
    _row(50, "ssv1", 16, 53.9, 82.1),
    _row(50, "ssv2", 8, 64.0, 88.8),
    _row(50, "ssv2", 16, 65.3, 89.7),
    _row(101, "ssv2", 8, 65.8, 90.2),
    _row(101, "ssv2", 16, 66.9, 90.9),
    _three_crops(101, "ssv2", 8, 67.1, 90.5),
    _three_crops(101, "ssv2", 16, 68.2, 91.6),
    _kinetics(50, 8, 76.6, 92.8),
    _kinetics(50, 16, 77.5, 93.2),
    _kinetics(101, 8, 77.5, 93.6),
    _kinetics(101, 16, 78.5, 93.9),
    _fine_tuned("ucf101", 97.4),
    _fine_tuned("hmdb51", 76.3),
)
