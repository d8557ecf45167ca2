from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.errors import CheckpointError
from marey.models import (
    GroupContext,
    Head,
    LongTermDifference,
    MobileNetV2Spec,
    ModelSpec,
    NonLocal,
    ResNetSpec,
    TDNSpec,
    TemporalPool,
)
from marey.models.encoders.tdn import TDN
from marey.models.temporal.tdn import DifferenceAttention, LearnedShift
from marey.models.video_model import VideoModel

OPS = (LongTermDifference(),)
GC_TDN = (*OPS, GroupContext(site=("after_bn2", "after_bn1", "after_bn1", "after_bn1")))


def tdn(num_segments: int = 2, ops=OPS, depth: int = 18, **fields: object) -> VideoModel:
    torch.manual_seed(0)
    spec = ModelSpec(
        TDNSpec(depth, **fields), ops, num_segments=num_segments, heads=(Head("label", 5),)
    )
    return spec.build().eval()


def test_gc_tdn_is_an_expression_and_gc_stands_before_the_long_term_module() -> None:
    with torch.device("meta"):
        model = ModelSpec(TDNSpec(101), GC_TDN).build()
    names = [name for name, _ in model.named_modules() if name.endswith(("after_bn1", "after_bn2"))]
    assert "encoder.short_term.layer1.0.after_bn2" in names
    assert "encoder.layer1.0.after_bn2" in names
    assert "encoder.layer2.0.after_bn1" in names
    odd = model.get_submodule("encoder.layer3.1")
    assert [name for name, _ in odd.named_children() if name.startswith("after")] == ["after_relu1"]
    assert odd.residual.index("after_relu1") == odd.residual.index("conv2") - 1


@pytest.mark.parametrize(
    ("num_segments", "fusion"),
    [(4, (0.75, 0.25)), (5, (0.75, 0.25)), (8, (0.5, 0.5)), (16, (0.75, 0.25))],
)
def test_only_eight_segments_weigh_picture_and_motion_alike(
    num_segments: int, fusion: tuple[float, float]
) -> None:
    assert tdn(num_segments).encoder.fusion == fusion
    assert tdn(num_segments, fusion=(0.9, 0.1)).encoder.fusion == (0.9, 0.1)
    assert tdn(num_segments)(torch.randn(1, 5 * num_segments, 3, 32, 32))["label"].shape == (1, 5)


def test_any_picture_size_will_do_even_one_that_shrinks_to_a_single_place() -> None:
    model = tdn(2, GC_TDN, depth=50)
    for height, width in ((16, 16), (33, 47), (32, 100)):
        assert model(torch.randn(2, 10, 3, height, width))["label"].isfinite().all()


def test_the_short_term_branch_sees_motion_only() -> None:
    encoder = tdn(1).encoder
    still = torch.randn(1, 1, 3, 32, 32).expand(1, 5, 3, 32, 32)
    zero = encoder.short_term(torch.zeros(1, 5, 3, 32, 32))
    for d, wanted in zip(encoder.short_term(still), zero, strict=True):
        torch.testing.assert_close(d, wanted)
    moved = still.clone()
    moved[:, 4] += torch.randn(3, 32, 32)
    assert not torch.allclose(encoder.short_term(moved)[0], zero[0])


def test_pooling_before_the_difference_is_the_same_as_after() -> None:
    branch = tdn(1).encoder.short_term.double()
    x = torch.randn(2, 5, 3, 35, 38, dtype=torch.float64)
    differences = F.avg_pool2d((x[:, 1:] - x[:, :-1]).flatten(1, 2), 2)
    wanted = branch.maxpool(branch.stem(differences))
    torch.testing.assert_close(branch(x)[0], wanted, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_learned_shift_is_a_depthwise_convolution_over_time(
    batch: int, num_frames: int, channels: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = LearnedShift(channels, num_frames, channels // 3).double()
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(batch * num_frames, channels, 2, 3, dtype=torch.float64, requires_grad=True)
    time_last = x.reshape(batch, num_frames, channels, 6).permute(0, 3, 2, 1).flatten(0, 1)
    wanted = F.conv1d(time_last, layer.weight, padding=1, groups=channels)
    wanted = wanted.reshape(batch, 6, channels, num_frames).permute(0, 3, 2, 1).reshape(x.shape)
    found = layer(x)
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad((y**2).sum(), (x, layer.weight)) for y in (found, wanted)]
    torch.testing.assert_close(*gradients)


def test_the_learned_shift_starts_as_a_shift() -> None:
    layer = LearnedShift(8, 3, fold=1)
    x = torch.arange(1.0, 4.0).reshape(3, 1, 1, 1).expand(3, 8, 1, 1)
    y = layer(x)[:, :, 0, 0]
    assert y[:, 0].tolist() == [2, 3, 0]
    assert y[:, 1].tolist() == [0, 1, 2]
    assert y[:, 2].tolist() == [1, 2, 3]


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_the_attention_scales_by_a_half_to_three_halves(
    num_frames: int, height: int, width: int
) -> None:
    block = DifferenceAttention(16, num_frames, reduction=4).eval()
    x = torch.randn(2 * num_frames, 16, height, width)
    scale = block(x) / x
    assert scale.min() > 0.5 - 1e-5
    assert scale.max() < 1.5 + 1e-5


def test_a_single_segment_has_no_neighbour_to_differ_from() -> None:
    block = DifferenceAttention(16, num_frames=1).eval()
    x = torch.randn(3, 16, 4, 4)
    still = block.expand_bn(block.expand(torch.zeros(1, 1, 1, 1))).sigmoid()
    torch.testing.assert_close(block(x), x * (0.5 + still))


def test_each_direction_has_batch_statistics_of_its_own_while_training() -> None:
    block = DifferenceAttention(16, num_frames=4)
    block(torch.randn(8, 16, 6, 6))
    assert block.reduce_bn.num_batches_tracked == 1
    for norm in (block.coarse_bn, block.fine_bn, block.expand_bn):
        assert norm.num_batches_tracked == 2


def test_the_long_term_module_stands_in_other_networks_too() -> None:
    for encoder in (ResNetSpec(18), MobileNetV2Spec(0.25)):
        model = ModelSpec(encoder, OPS, num_segments=3, heads=(Head("label", 5),)).build().eval()
        assert model(torch.randn(1, 3, 3, 32, 32))["label"].shape == (1, 5)


def test_ops_that_pool_time_or_attend_to_it_combine_with_tdn() -> None:
    for stage in (0, 1):
        model = tdn(5, (*OPS, TemporalPool(stage), NonLocal()))
        assert model.features(torch.randn(1, 25, 3, 32, 32)).shape == (1, 3, 512)


def test_imagenet_weights_fill_both_branches_and_no_bias() -> None:
    weights = dict(ResNetSpec(18).build((), 1).state_dict())
    weights = {key: torch.randn_like(w) if w.ndim else w for key, w in weights.items()}
    model = tdn(2)
    model.load_encoder(weights)
    own = model.encoder.state_dict()
    assert torch.equal(own["layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"])
    assert torch.equal(own["short_term.layer1.1.bn2.bias"], weights["layer1.1.bn2.bias"])
    mean = weights["conv1.weight"].mean(dim=1)
    assert all(torch.equal(mean, part) for part in own["short_term.stem.0.weight"].unbind(1))
    assert all(not w.any() for key, w in own.items() if key.endswith(("conv2.bias", "conv1.bias")))
    assert not torch.equal(
        own["layer2.0.after_relu1.shift.weight"],
        torch.zeros_like(own["layer2.0.after_relu1.shift.weight"]),
    )


def test_weights_of_another_network_are_an_error() -> None:
    with pytest.raises(CheckpointError, match="weights do not fit the encoder"):
        tdn(2).load_encoder({"stem.weight": torch.zeros(1)})


def test_the_long_term_module_can_be_trained_compiled_on_any_batch() -> None:
    parts = DifferenceAttention(16, 3), LearnedShift(16, 3, 2)
    module = torch.nn.Sequential(*parts).double()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    for batch in (2, 3):
        x = torch.randn(3 * batch, 16, 5, 7, dtype=torch.float64, requires_grad=True)
        torch._dynamo.mark_dynamic(x, 0)
        gradients = [torch.autograd.grad(run(x).square().sum(), x)[0] for run in (module, compiled)]
        torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TDNSpec(49), r"depth is 49, expected one of \(18, 26, 34, 50, 101, 152\)"),
        (lambda: LongTermDifference(reduction=0), "reduction is 0, expected at least 1"),
        (lambda: LongTermDifference(shift_div=1), "shift_div is 1, expected at least 2"),
        (lambda: tdn(2)(torch.zeros(1, 2, 3, 32, 32)), r"expected \[batch, 10 frames, 3 channels"),
    ],
)
def test_what_cannot_be_is_an_error(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_number_of_parameters_is_the_releases_less_what_it_never_calls() -> None:
    with torch.device("meta"):
        encoder = TDNSpec(50).build(OPS, 8)
    assert isinstance(encoder, TDN)
    assert sum(p.numel() for p in encoder.parameters()) == 24_420_046 - 9_472 - 174 * 2049
