"""Models of features: what they compute on any number of frames, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim

from marey.models import (
    TSM,
    FeaturesSpec,
    Head,
    LateAverageSpec,
    ModelSpec,
    NetVLADSpec,
    VideoModel,
)
from marey.models.encoder import Encoder
from marey.models.profile import cost

SPECS = (FeaturesSpec(8), LateAverageSpec(8, hidden=5), NetVLADSpec(8, clusters=4, hidden=16))
each = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)


def model(spec: Encoder) -> VideoModel:
    torch.manual_seed(0)
    return ModelSpec(spec, heads=(Head("label", 3),)).build().eval()


@each
@given(order=st.permutations(range(5)))
def test_the_order_of_frames_does_not_matter(spec: Encoder, order: list[int]) -> None:
    clip = torch.randn(2, 5, 8)
    one, other = (model(spec)(clip[:, frames])["label"] for frames in (order, range(5)))
    assert torch.allclose(one, other, atol=1e-6)


@each
def test_a_clip_is_scored_alone_or_beside_others_alike(spec: Encoder) -> None:
    clips, net = torch.randn(4, 6, 8), model(spec)
    whole = net(clips)["label"]
    assert torch.allclose(net(clips[2:3])["label"][0], whole[2], atol=1e-6)


@each
def test_it_is_exported_for_any_number_of_clips_and_frames(spec: Encoder) -> None:
    net = model(spec)
    shapes = ({0: Dim("b", max=64), 1: Dim("t", min=2, max=200)},)
    exported = torch.export.export(net, (torch.randn(3, 5, 8),), dynamic_shapes=shapes).module()
    clip = torch.randn(7, 9, 8)
    assert torch.allclose(exported(clip)["label"], net(clip)["label"])


def test_features_as_they_are_have_a_linear_classifier_and_no_more() -> None:
    counted = cost(ModelSpec(FeaturesSpec(8), (), num_segments=4, heads=(Head("label", 3),)))
    assert counted.parameters == 8 * 3 + 3
    assert counted.gmacs == pytest.approx(4 * 8 * 3 / 1e9)


def test_a_cluster_without_frames_adds_nothing_that_is_no_number() -> None:
    assert model(NetVLADSpec(8))(torch.zeros(2, 3, 8))["label"].isfinite().all()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="dim is 0, expected at least 1"):
        FeaturesSpec(0)
    with pytest.raises(ValueError, match="clusters is 0"):
        NetVLADSpec(8, clusters=0)
    with pytest.raises(ValueError, match=r"dim is none. hint: model\.encoder\.dim"):
        ModelSpec(FeaturesSpec()).build()
    with pytest.raises(ValueError, match="takes features already, expected no temporal ops"):
        ModelSpec(FeaturesSpec(8), (TSM(),)).build()
    with pytest.raises(ValueError, match=r"clip is \[2, 3, 7\], expected features \[batch, fra"):
        model(FeaturesSpec(8))(torch.zeros(2, 3, 7))
