"""Big-Little networks: their forms, with every option, on few maps at a time and on all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from marey.models import TAM, TSM, BLResNetSpec, BLVNetSpec, GroupContext, TemporalPool
from marey.models.encoder import Encoder
from marey.models.fused import fused, runs
from marey.models.sites import TemporalOp
from marey.models.temporal.tam import Aggregation
from marey.models.video_model import VideoModel
from tests.models.fused.lively import EXACT, clips, difference, lively

MODELS: dict[str, tuple[Encoder, Sequence[TemporalOp]]] = {
    "bLVNet-TAM": (BLVNetSpec(50, channels=8), ()),
    "a tap": (BLVNetSpec(50, channels=8, tam=TAM(taps=1)), ()),
    "two taps": (BLVNetSpec(50, channels=8, tam=TAM(taps=2)), ()),
    "five taps": (BLVNetSpec(50, channels=8, tam=TAM(taps=5)), ()),
    "the largest tap": (BLVNetSpec(50, channels=8, tam=TAM(reduce="max")), ()),
    "taps over all channels": (BLVNetSpec(50, channels=8, tam=TAM(depthwise=False)), ()),
    "bLVNet": (BLVNetSpec(50, channels=8, tam=None), ()),
    "of flow": (BLVNetSpec(50, channels=8, in_channels=10), ()),
    "alpha 4, beta 2": (BLVNetSpec(50, alpha=4, beta=2, channels=8), ()),
    "GC-bLVNet-TAM": (BLVNetSpec(50, channels=32), (GroupContext(cdiv=4, site="after_bn2"),)),
    "bLResNet": (BLResNetSpec(50, channels=8), ()),
    "bLResNeXt": (BLResNetSpec(50, groups=4, width_per_group=4, channels=16), ()),
    "TSM in bLResNet": (BLResNetSpec(50, channels=16), (TSM(),)),
    "TAM in bLResNet": (BLResNetSpec(50, channels=8), (TAM(),)),
    "bLResNet, pooled": (BLResNetSpec(50, channels=8), (TemporalPool(),)),
}


def model_of(name: str, num_segments: int = 4) -> VideoModel:
    """A small model, the taps of which all count."""
    model = lively(*MODELS[name], num_segments=num_segments)
    for module in model.modules():
        if isinstance(module, Aggregation):
            for tap in module.taps:
                torch.nn.init.normal_(tap, std=0.7)
    return model


@pytest.mark.parametrize("cached", [1, runs.CACHED])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_model(
    name: str, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CACHED", cached)
    model = model_of(name)
    form, clip = fused(model), clips(model, size=64, batch=3)
    with torch.no_grad():
        assert difference(model(clip)["label"], form(clip)["label"]) < EXACT


@pytest.mark.parametrize("pairs", [1, 3])
def test_on_other_numbers_of_pairs_and_sizes(pairs: int) -> None:
    model = model_of("five taps", pairs)
    clip = clips(model, size=96, batch=1)
    with torch.no_grad():
        assert difference(model(clip)["label"], fused(model)(clip)["label"]) < EXACT


def test_tokens_and_features_are_those_of_the_model() -> None:
    model = model_of("bLVNet-TAM")
    form, clip = fused(model), clips(model, size=64)
    with torch.no_grad():
        for over in ("tokens", "frames"):
            assert difference(model.encode(clip, over), form.encode(clip, over)) < EXACT


def test_in_float64_the_plain_way_is_taken() -> None:
    model = model_of("bLVNet-TAM").double()
    clip = clips(model, size=64).double()
    with torch.no_grad():
        assert difference(model(clip)["label"], fused(model)(clip)["label"]) < 1e-12
