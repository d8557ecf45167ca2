"""ECal, the first generation of Group Contextualization (its README of March 2022, commit 16e71b3).

The accuracy is that of two clips, one centre crop of the full 256 pixels. "8, 16" in its table are
8 frames and a reduction of 16; that the rows are of this generation follows from that and from the
test script of the commit, not from the files.

**Deviates**: the script of that commit has a reduction of 32, the published rows are of 16. Its
batch was 20 to 30 clips, here the rate is for 32. Rows of V2 have the schedule of V1.
"""

from __future__ import annotations

from marey.models.encoders.resnet import ResNetSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.ecal import ECal
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD
from marey.recipes.published import head, steps, swap_of_sides, twice
from marey.recipes.recipe import Claim, Recipe, Views
from marey.video.sampling.segments import Segments

_README = "README of haoyanbin918/Group-Contextualization, March 2022"
_TSN: tuple[TemporalOp, ...] = (ECal("L"),)
_TSM: tuple[TemporalOp, ...] = (TSM(alternate="stage"), ECal("T"))
_ONE_FILE = (
    "ECal-L-TSN and ECal-T-TSM of 8 frames on V1 link one file: its tensors tell whose it is"
)


def _row(
    name: str,
    data: str,
    t: int,
    ops: tuple[TemporalOp, ...],
    top1: float,
    gmacs: float,
    note: str = "",
) -> Recipe:
    optim = SGD(lr=0.01, weight_decay=1e-4, head_lr5=False, calibrator_lr=2)
    return Recipe(
        name=f"{name}-r50-{t}f-{data}",
        model=ModelSpec(ResNetSpec(50), ops, num_segments=t, heads=head(data)),
        train=Views(Segments(t)),
        test=twice(t),
        augment=swap_of_sides(data),
        batch_size=8,
        lr_batch_size=32,
        stages=steps(50, 20, 40, optim=optim),
        weights="imagenet",
        save_best="acc/top1",
        smooth=1,
        claim=Claim(
            top1=top1, source=_README, params_millions=31.4415, gmacs_per_view=gmacs, note=note
        ),
    )


ROWS = (
    _row("ecal-l-tsn", "ssv1", 8, _TSN, 48.2, 42.5649, _ONE_FILE),
    _row("ecal-l-tsn", "ssv1", 16, _TSN, 48.8, 85.1299),
    _row("ecal-t-tsm", "ssv1", 8, _TSM, 49.7, 32.7603, _ONE_FILE),
    _row("ecal-t-tsm", "ssv1", 16, _TSM, 51.4, 65.5207),
    _row("ecal-l-tsn", "ssv2", 8, _TSN, 62.5, 42.5649),
    _row("ecal-l-tsn", "ssv2", 16, _TSN, 63.1, 85.1299),
    _row("ecal-t-tsm", "ssv2", 8, _TSM, 63.5, 32.7603),
    _row("ecal-t-tsm", "ssv2", 16, _TSM, 65.2, 65.5207),
)
