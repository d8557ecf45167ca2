"""The forms of every kind of encoder and op give the logits of the plain models."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from marey.models import (
    GST,
    TAM,
    TSM,
    BNInceptionSpec,
    ECal,
    GoogLeNetSpec,
    GroupContext,
    I3DResNetSpec,
    LongTermDifference,
    MobileNetV2Spec,
    NonLocal,
    R2Plus1DSpec,
    ResNetSpec,
    RGBDifferenceSpec,
    S3DSpec,
    TDNSpec,
    TemporalPool,
)
from marey.models.encoder import Encoder
from marey.models.fused import fused
from marey.models.sites import TemporalOp
from tests.models.fused.lively import EXACT, clips, difference, lively

BASIC, BOTTLENECK = ResNetSpec(18, channels=16), ResNetSpec(26, channels=16)
MODELS: dict[str, tuple[Encoder, Sequence[TemporalOp]]] = {
    "TSN": (BASIC, ()),
    "ResNeXt": (ResNetSpec(26, groups=4, width_per_group=8, channels=16), ()),
    "flow": (ResNetSpec(18, channels=16, in_channels=10), ()),
    "TSM": (BOTTLENECK, (TSM(),)),
    "TSM of basic blocks": (BASIC, (TSM(),)),
    "TSM of blocks": (BOTTLENECK, (TSM(place="block_in"),)),
    "TSM behind blocks": (BOTTLENECK, (TSM(place="block_out"),)),
    "TSM of the past": (BASIC, (TSM(direction="past"),)),
    "TSM, non-local": (BOTTLENECK, (TSM(), NonLocal())),
    "TSM, pooled": (BOTTLENECK, (TSM(), TemporalPool())),
    "TSN, mean pooled": (BASIC, (TemporalPool(reduce="mean"),)),
    "MobileNetV2": (MobileNetV2Spec(0.25), (TSM(),)),
    "GC-TSM": (BOTTLENECK, (TSM(), GroupContext())),
    "GC, going round": (BOTTLENECK, (GroupContext(cdiv=6, loop=True),)),
    "GC, without norms": (BOTTLENECK, (GroupContext(norm=False, site="after_conv2"),)),
    "GC, as upstream": (BOTTLENECK, (GroupContext(cdiv=5, loop=True, variant="upstream"),)),
    "GC of some gates": (BOTTLENECK, (GroupContext(gates="TG", cdiv=2),)),
    "GC-MobileNetV2": (MobileNetV2Spec(0.25), (GroupContext(cdiv=8),)),
    **{f"ECal-{gate}": (BOTTLENECK, (ECal(gate, reduction=4),)) for gate in ("L", "T", "S", "G")},
    "GST": (BOTTLENECK, (GST(),)),
    "GST-Large": (BOTTLENECK, (GST(beta=1),)),
    "GC-GST": (BOTTLENECK, (GST(), GroupContext(norm=False, site="after_conv2"))),
    "TDN": (TDNSpec(26, channels=16), (LongTermDifference(reduction=4),)),
    "TDN of basic blocks": (TDNSpec(18, channels=16), (LongTermDifference(reduction=4),)),
    "TSM-TDN": (TDNSpec(18, channels=16), (TSM(),)),
    "I3D": (I3DResNetSpec(26, channels=16), ()),
    "I3D of basic blocks": (I3DResNetSpec(18, channels=16, temporal_stride=True), ()),
    "TAM": (BOTTLENECK, (TAM(),)),
    "BN-Inception": (BNInceptionSpec(channels=8), (TSM(place="block_in"),)),
    "GoogLeNet": (GoogLeNetSpec(channels=8), (TAM(place="block_out"),)),
    "S3D": (S3DSpec(channels=8), ()),
    "S3D, depthwise": (S3DSpec(channels=8, reduce="mean", depthwise=True), ()),
    "R(2+1)D": (R2Plus1DSpec(channels=8), ()),
    "RGB difference": (RGBDifferenceSpec(BASIC), ()),
}
OF_EACH_FORM = ("TSM", "TSM, non-local", "GC-MobileNetV2", "ECal-S", "GC-GST", "TDN", "I3D", "TAM")
"""Models that together hold a form of every kind."""


@pytest.mark.parametrize("name", MODELS)
def test_a_form_gives_the_logits_of_its_model(name: str) -> None:
    model = lively(*MODELS[name])
    form, clip = fused(model), clips(model)
    with torch.no_grad():
        assert difference(model(clip)["label"], form(clip)["label"]) < EXACT


@pytest.mark.parametrize("name", OF_EACH_FORM)
def test_a_form_compiles_to_one_graph(name: str) -> None:
    # a break costs what compiling is for, and weights of many shapes then end it altogether
    torch.compiler.reset()
    form = fused(lively(*MODELS[name]))
    compiled = torch.compile(form, backend="eager", fullgraph=True)
    clip = clips(form)
    with torch.no_grad():
        assert difference(form(clip)["label"], compiled(clip)["label"]) < EXACT


def test_on_other_numbers_of_frames() -> None:
    model = lively(BOTTLENECK, (TSM(), GroupContext())).with_frames(6)
    clip = clips(model, batch=1)
    assert difference(model(clip)["label"], fused(model)(clip)["label"]) < EXACT
