from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.errors import CheckpointError
from marey.models import GST, GroupContext, MobileNetV2Spec, ModelSpec, ResNetSpec
from marey.models.encoder import Encoder
from marey.models.sites import Block, StartsFromConv
from marey.models.temporal.gst import SpatialTemporalConv

R50 = ResNetSpec(50).blocks((), 4)
X50 = ResNetSpec(50, groups=32, width_per_group=4).blocks((), 4)
MOBILE = MobileNetV2Spec().blocks((), 4)


def conv2(op: GST, block: Block) -> SpatialTemporalConv:
    module = op.sites(block)["conv2"]
    assert isinstance(module, SpatialTemporalConv)
    return module.double()


def a_clip(channels: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.randn(batch * 4, channels, 5, 6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("alpha", [2, 3, 4, 8])
@pytest.mark.parametrize("beta", [1, 2])
@pytest.mark.parametrize("block", [R50[0], R50[3]], ids=["stride 1", "stride 2"])
@torch.no_grad()
def test_it_is_the_3d_convolutions_of_the_paper(alpha: int, beta: int, block: Block) -> None:
    module, channels = conv2(GST(alpha, beta), block), block.mid_channels  # type: ignore[arg-type]
    x = a_clip(channels, batch=2).unflatten(0, (2, 4)).transpose(1, 2)
    halves = (x[:, : channels // 2], x[:, channels // 2 :]) if beta == 2 else (x, x)
    stride = (1, block.stride, block.stride)
    spatial = F.conv3d(halves[0], module.spatial.weight[:, :, None], None, stride, (0, 1, 1))
    temporal = F.conv3d(halves[1], module.temporal.weight, None, stride, 1)
    wanted = torch.cat((spatial, temporal), dim=1).transpose(1, 2).flatten(0, 1)
    assert temporal.shape[1] == channels // alpha
    torch.testing.assert_close(module(a_clip(channels, batch=2)), wanted)


@pytest.mark.parametrize("block", [R50[0], X50[0], MOBILE[2]], ids=str)
@torch.no_grad()
def test_only_the_last_channels_see_other_frames_and_those_of_their_clip(block: Block) -> None:
    module = conv2(GST(), block)
    x = a_clip(block.mid_channels, batch=2)
    other = x.clone()
    other[2] += 1
    before, after = module(x), module(other)
    temporal = block.mid_channels // 4
    moved = [n for n in range(8) if not torch.equal(before[n], after[n])]
    assert moved == [1, 2, 3]
    assert torch.equal(before[1, :-temporal], after[1, :-temporal])
    assert not torch.equal(before[1, -temporal:], after[1, -temporal:])


@pytest.mark.parametrize("block", [X50[0], MOBILE[2]], ids=str)
@torch.no_grad()
def test_in_a_grouped_convolution_each_group_still_sees_its_own_input(block: Block) -> None:
    module = conv2(GST(), block)
    x = a_clip(block.mid_channels)
    width = block.mid_channels // block.groups
    for group in (0, block.groups - 1):
        at = slice(group * width, (group + 1) * width)
        other = x.clone()
        other[:, at] += 1
        differs = (module(x) != module(other)).any(dim=0).any(dim=1).any(dim=1)
        assert differs[at].all()
        assert differs.sum() == width


@pytest.mark.parametrize("beta", [1, 2])
@torch.no_grad()
def test_imagenets_weights_start_the_spatial_channels_and_leave_the_temporal_ones(
    beta: int,
) -> None:
    plain = ResNetSpec(50).build((), 4).state_dict()
    model = ModelSpec(ResNetSpec(50), (GST(4, beta), GroupContext(site="after_bn1"))).build()  # type: ignore[arg-type]
    at = "layer3.2.conv2"
    temporal = model.encoder.get_parameter(f"{at}.temporal.weight").clone()
    model.load_encoder(plain | {"fc.weight": torch.empty(0)})
    spatial = model.encoder.get_parameter(f"{at}.spatial.weight")
    assert torch.equal(spatial, plain[f"{at}.weight"][:192, : 256 // beta])
    assert torch.equal(model.encoder.get_parameter(f"{at}.temporal.weight"), temporal)
    assert torch.equal(
        model.encoder.state_dict()["layer3.2.conv3.weight"], plain["layer3.2.conv3.weight"]
    )
    assert isinstance(model.encoder.get_submodule(at), StartsFromConv)


def test_a_weight_that_is_too_narrow_to_start_from_does_not_fit() -> None:
    model = ModelSpec(ResNetSpec(50), (GST(),)).build()
    narrow = ResNetSpec(50).build((), 4).state_dict() | {
        "layer1.0.conv2.weight": torch.empty(64, 4, 3, 3)
    }
    message = r"conv2\.spatial\.weight \(48, 4, 3, 3\) for \(48, 32, 3, 3\)"
    with pytest.raises(CheckpointError, match=message):
        model.load_encoder(narrow)


@pytest.mark.parametrize(
    ("encoder", "op"),
    [
        (ResNetSpec(50), GST()),
        (ResNetSpec(50), GST(2, 1)),
        (ResNetSpec(101), GST(8)),
        (ResNetSpec(50, groups=32, width_per_group=4), GST()),
        (MobileNetV2Spec(), GST()),
    ],
    ids=repr,
)
@pytest.mark.parametrize("size", [(64, 64), (72, 104)])
def test_it_works_in_any_network_with_a_middle_convolution_at_any_size(
    encoder: Encoder, op: GST, size: tuple[int, int]
) -> None:
    with torch.device("meta"):
        model = ModelSpec(encoder, (op,), num_segments=4).build().eval()
        assert model(torch.empty(2, 4, 3, *size))["label"].shape == (2, 400)


@torch.no_grad()
def test_channels_last_memory_stays_channels_last() -> None:
    module = conv2(GST(), R50[3]).float()
    x = a_clip(128).float().contiguous(memory_format=torch.channels_last)
    assert module(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("op", "encoder", "message"),
    [
        (lambda: GST(alpha=1), None, "alpha is 1, expected 2 or more"),
        (lambda: GST(beta=3), None, "beta is 3, expected 1 or 2"),  # type: ignore[arg-type]
        (lambda: GST(), ResNetSpec(18), "wants the site 'conv2', which BasicBlock 0 of stage 0"),
        (lambda: GST(alpha=65), ResNetSpec(50), "has no temporal channel in Bottleneck 0"),
    ],
)
def test_impossible_convolutions_are_an_error(op, encoder, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSpec(encoder, (op(),)).build()


def test_all_its_weights_start_from_kaimings_fan_out() -> None:
    module = GST().sites(R50[-1])["conv2"]
    assert isinstance(module, SpatialTemporalConv)
    for layer, fan in ((module.spatial, 384 * 9), (module.temporal, 128 * 27)):
        assert isinstance(layer, nn.Conv2d | nn.Conv3d)
        assert layer.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.02)
