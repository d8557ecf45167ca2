from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from marey.models import TSM, I3DResNetSpec, ModelSpec, NonLocal, ResNetSpec, TemporalPool
from marey.models.encoders.i3d import FrameConv3d, Inflation


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("frames", "left"), [(1, 1), (4, 2), (5, 3)])
@torch.no_grad()
def test_it_is_a_3d_convolution_of_each_clip(
    layout: torch.memory_format, frames: int, left: int
) -> None:
    layer = FrameConv3d(4, 6, 3, num_frames=frames, stride=2, time_stride=2, groups=2)
    clips = torch.randn(2, frames, 4, 7, 6)
    folded = layer(clips.flatten(0, 1).contiguous(memory_format=layout))
    wanted = F.conv3d(clips.transpose(1, 2), layer.weight, None, 2, 1, groups=2).transpose(1, 2)
    assert wanted.shape[1] == left
    torch.testing.assert_close(folded.unflatten(0, (2, left)), wanted)


@pytest.mark.parametrize(("inflation", "times"), [("divided", 1), ("repeated", 3)])
def test_a_still_clip_gives_what_the_picture_gave_or_its_triple(
    inflation: Inflation, times: int
) -> None:
    flat = nn.Conv2d(4, 6, 3, padding=1, bias=False)
    layer = FrameConv3d(4, 6, 3, num_frames=3)
    layer.inflation = inflation
    layer.load_state_dict(layer.start_from(flat.weight))
    picture = torch.randn(1, 4, 5, 5)
    middle = layer(picture.repeat(3, 1, 1, 1))[1]  # the frames beside it do exist
    torch.testing.assert_close(middle, times * flat(picture)[0])


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("channels", [3, 10])
def test_torchvision_weights_start_every_filter(depth: int, channels: int) -> None:
    weights = ResNetSpec(depth).build((), 1).state_dict()
    encoder = I3DResNetSpec(depth, in_channels=channels, temporal_stride=True)
    model = ModelSpec(encoder, num_segments=4).build()
    model.load_encoder(weights)
    for name, weight in model.encoder.state_dict().items():
        wanted = weights[name]
        if name == "conv1.weight" and channels != 3:
            wanted = wanted.mean(dim=1, keepdim=True).expand(64, channels, 7, 7)
        torch.testing.assert_close(weight.sum(dim=2) if weight.ndim == 5 else weight, wanted)


def test_the_releases_rule_is_a_variant() -> None:
    weights = ResNetSpec(18).build((), 1).state_dict()
    model = ModelSpec(I3DResNetSpec(18, inflation="repeated"), num_segments=2).build()
    model.load_encoder(weights)
    inflated = model.encoder.state_dict()["layer2.1.conv1.weight"]
    for time in range(3):
        assert torch.equal(inflated[:, :, time], weights["layer2.1.conv1.weight"])


@pytest.mark.parametrize(
    ("spec", "frames", "left"),
    [
        (I3DResNetSpec(18), 5, 5),
        (I3DResNetSpec(18, temporal_stride=True), 8, 1),
        (I3DResNetSpec(18, temporal_stride=True), 9, 2),
        (I3DResNetSpec(50, temporal_stride=True), 16, 2),
        (I3DResNetSpec(50, groups=32, width_per_group=4), 2, 2),
    ],
    ids=str,
)
def test_frames_stay_or_are_halved_thrice(spec: I3DResNetSpec, frames: int, left: int) -> None:
    with torch.device("meta"):
        model = spec.build((), frames)
        features = model(torch.empty(2, frames, 3, 33, 48))
    assert features.shape == (2, left, model.num_features)


def test_ops_have_their_sites_and_see_the_frames_that_are_left() -> None:
    with torch.device("meta"):
        ops = (NonLocal(stages=(1, 2)),)
        model = I3DResNetSpec(50, temporal_stride=True).build(ops, 8)
        assert model.get_submodule("layer2.0.block_out").num_frames == 4
        assert model.get_submodule("layer3.4.block_out").num_frames == 2
        plain = I3DResNetSpec(50).build((*ops, TSM(), TemporalPool()), 8)
        assert plain(torch.empty(1, 8, 3, 32, 32)).shape == (1, 4, 2048)


@pytest.mark.parametrize(("depth", "op"), [(18, TSM()), (50, TSM()), (50, TemporalPool())], ids=str)
def test_a_site_before_a_stride_in_time_is_an_error(depth: int, op: TSM | TemporalPool) -> None:
    with pytest.raises(ValueError, match="which I3DB.* 0 of stage 1 lacks"):
        I3DResNetSpec(depth, temporal_stride=True).build((op,), 8)


def test_print_shows_the_frames_of_a_filter() -> None:
    shown = str(I3DResNetSpec(18, temporal_stride=True).build((), 8))
    assert "stride=(1, 2, 2), padding=(1, 3, 3), bias=False, num_frames=8" in shown
    assert "(frames): EverySecondFrame(num_frames=4)" in shown
