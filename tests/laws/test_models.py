"""What holds for every model, whatever its weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from marey.models import (
    GST,
    TSM,
    ECal,
    GroupContext,
    Head,
    MobileNetV2Spec,
    ModelSpec,
    NonLocal,
    ResNetSpec,
    TemporalPool,
    VideoModel,
)
from marey.models.layout import channels_last

R18, MOBILE = ResNetSpec(18), MobileNetV2Spec(0.35)
SPECS = {
    "tsn": ModelSpec(R18, (), 4),
    "tsm": ModelSpec(R18, (TSM(),), 4),
    "tsm-block": ModelSpec(R18, (TSM(4, "block_in"),), 4),
    "tsm-out": ModelSpec(R18, (TSM(place="block_out"),), 4),
    "tsm-past": ModelSpec(R18, (TSM(direction="past"),), 4),
    "tsm-pool": ModelSpec(R18, (TSM(), TemporalPool()), 4),
    "tsm-nl": ModelSpec(R18, (TSM(), NonLocal()), 4),
    "tsn-flow": ModelSpec(ResNetSpec(18, in_channels=10), (), 4),
    "gc": ModelSpec(R18, (GroupContext(site="after_bn1"),), 4),
    "gc-tsm": ModelSpec(R18, (TSM(), GroupContext("TL", site="residual_out", loop=True)), 4),
    "ecal": ModelSpec(R18, (ECal("L", reduction=8),), 4),
    "gst-gc-mobilenet": ModelSpec(MOBILE, (GST(), GroupContext(site="after_conv2", norm=False)), 4),
    "tsn-mobilenet": ModelSpec(MOBILE, (), 4),
    "tsm-mobilenet": ModelSpec(MOBILE, (TSM(),), 4),
}
MANY = {
    f"{depth}-{name}": ModelSpec(encoder, ops, segments)
    for depth, encoder in {
        "r18": ResNetSpec(18),
        "r34": ResNetSpec(34),
        "r50": ResNetSpec(50),
        "r101": ResNetSpec(101),
        "r152": ResNetSpec(152),
        "x50": ResNetSpec(50, groups=32, width_per_group=4),
        "x101": ResNetSpec(101, groups=32, width_per_group=8),
        "flow": ResNetSpec(50, in_channels=10),
        "mobilenet": MobileNetV2Spec(),
    }.items()
    for name, ops in {"tsn": (), "tsm": (TSM(),), "pool": (TSM(), TemporalPool())}.items()
    for segments in (8,)
}


def random_model(spec: ModelSpec) -> VideoModel:
    """A model, in float64, whose every weight matters: heads and norms are not at their start."""
    torch.manual_seed(0)
    model = spec.build().eval().double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
    return model


def random_clip(spec: ModelSpec, batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, spec.frames, spec.encoder.in_channels, 32, 32)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module", params=SPECS.values(), ids=SPECS)
def model(request: pytest.FixtureRequest) -> VideoModel:
    return random_model(request.param)


@given(moved=st.integers(0, 2), seed=st.integers(1, 1000))
@settings(max_examples=3, deadline=None)
@torch.no_grad()
def test_one_clip_never_moves_the_scores_of_another(
    model: VideoModel, moved: int, seed: int
) -> None:
    clip = random_clip(model.spec, batch=3)
    other = clip.clone()
    other[moved] = random_clip(model.spec, 1, seed)[0]
    before, after = model(clip)["label"], model(other)["label"]
    for i in range(3):
        assert torch.equal(before[i], after[i]) is (i != moved)


@given(order=st.permutations(range(4)))
@settings(max_examples=4, deadline=None)
@torch.no_grad()
def test_only_without_temporal_ops_the_order_of_frames_is_of_no_matter(
    model: VideoModel, order: list[int]
) -> None:
    clip = random_clip(model.spec, batch=1)
    before, after = model(clip)["label"], model(clip[:, order])["label"]
    same = torch.allclose(before, after, rtol=1e-12, atol=1e-12)
    assert same is (not model.spec.temporal or order == sorted(order))


@pytest.mark.parametrize("spec", MANY.values(), ids=MANY)
def test_every_spec_builds_and_runs_on_the_meta_device(spec: ModelSpec) -> None:
    with torch.device("meta"):
        model = spec.build().eval()
        clip = torch.empty(2, spec.frames, spec.encoder.in_channels, 64, 64)
    assert model(clip)["label"].shape == (2, 400)
    assert all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize(
    "name", ["tsm", "tsm-pool", "tsm-nl", "tsm-mobilenet", "gc", "ecal", "gst-gc-mobilenet"]
)
@torch.no_grad()
def test_an_exported_model_takes_any_batch_and_needs_no_operator_of_ours(name: str) -> None:
    model = random_model(SPECS[name])
    example = (random_clip(model.spec, batch=2),)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, example, dynamic_shapes=({0: batch},))
    assert "marey" not in exported.graph_module.code
    clip = random_clip(model.spec, batch=5)
    torch.testing.assert_close(exported.module()(clip)["label"], model(clip)["label"])


def test_a_compiled_model_is_one_graph_with_the_same_gradients() -> None:
    model = random_model(SPECS["tsm"])
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    clip = random_clip(model.spec, batch=2)
    gradients = []
    for run in (model, compiled):
        model.zero_grad()
        run(clip)["label"].square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_channels_last_changes_the_layout_only(model: VideoModel) -> None:
    clip = random_clip(model.spec, batch=2)
    before = model(clip)["label"]
    torch.testing.assert_close(channels_last(model)(clip)["label"], before, rtol=1e-9, atol=1e-9)


def test_several_heads_share_one_encoder() -> None:
    spec = ModelSpec(R18, (), 1, heads=(Head("verb", 97), Head("noun", 300)))
    model = random_model(spec)
    scores = model(random_clip(spec, batch=1))
    assert [s.shape[1] for s in scores.values()] == [97, 300]
