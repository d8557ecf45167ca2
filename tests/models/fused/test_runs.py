"""Layers give the same on a few maps at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from marey.models import TSM, GroupContext, MobileNetV2Spec, ResNetSpec
from marey.models.encoder import Encoder
from marey.models.fused import fused, runs
from marey.models.sites import TemporalOp
from tests.models.fused.lively import EXACT, clips, difference, lively

MODELS: dict[str, tuple[Encoder, Sequence[TemporalOp]]] = {
    "TSM-MobileNetV2": (MobileNetV2Spec(0.25), (TSM(),)),
    "TSM of bottlenecks": (ResNetSpec(26, channels=16), (TSM(),)),
    "TSN": (ResNetSpec(26, channels=16), ()),
    "GC-TSM": (ResNetSpec(26, channels=16), (TSM(), GroupContext())),
}


@pytest.mark.parametrize("frames", [1, 5])
@pytest.mark.parametrize("name", MODELS)
def test_maps_one_at_a_time_are_the_same(
    name: str, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lively(*MODELS[name], num_segments=frames)
    form, clip = fused(model), clips(model, batch=3)
    before = clip.clone()
    monkeypatch.setattr(runs, "CACHED", 1)
    with torch.no_grad():
        assert difference(model(clip)["label"], form(clip)["label"]) < EXACT
    assert torch.equal(clip, before)


def test_turns_hold_what_is_cached_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "CACHED", 10)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    maps = torch.arange(7.0).view(7, 1, 1, 1)
    turns = runs.in_turns([maps, -maps], widest=8)
    assert [len(some) for some, _ in turns] == [3, 2, 2]
    assert torch.equal(torch.cat([some for some, _ in turns]), maps)
    assert torch.equal(runs.by_few(torch.sub, [maps, -maps], widest=8), 2 * maps)
    assert len(runs.in_turns([maps], widest=1)) == 1


def test_on_other_types_all_maps_go_at_once() -> None:
    maps = torch.zeros(7, 1, 1, 1, dtype=torch.float64)
    assert len(runs.in_turns([maps], widest=2**30)) == 1
