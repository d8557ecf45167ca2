"""Ops inside networks of timm, where it can be imported."""

from __future__ import annotations

import re

import pytest
import torch

from marey.models import (
    GST,
    TSM,
    GroupContext,
    Head,
    LongTermDifference,
    ModelSpec,
    NonLocal,
    ResNetSpec,
    TemporalPool,
    TimmSpec,
)
from marey.models.sites import TemporalOp
from marey.models.stream import streaming
from marey.models.temporal.kernels import shift
from marey.models.temporal.tsm import Shift
from marey.models.video_model import VideoModel
from marey.recipes.schema import from_yaml, to_yaml

try:
    import timm
except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision made for another torch
    reason = f"timm cannot be imported: {error}"
else:
    reason = ""
needs_timm = pytest.mark.skipif(bool(reason), reason=reason)

SMALL = "convnext_atto"
NAMES = {
    "convnext_tiny": 18,
    "resnet18": 8,
    "resnet50": 16,
    "seresnet50": 16,
    "resnext50_32x4d": 16,
    "mobilenetv2_100": 10,
    "mobilenetv4_conv_small": 10,
    "efficientnet_b0": 9,
    "regnety_002": 13,
    "res2net50_26w_4s": 16,
    "inception_next_tiny": 18,
}


def built(name: str, *ops: TemporalOp, num_segments: int = 3) -> VideoModel:
    torch.manual_seed(0)
    return (
        ModelSpec(TimmSpec(name), ops, num_segments=num_segments, heads=(Head("label", 5),))
        .build()
        .eval()
    )


@needs_timm
@pytest.mark.parametrize("name", NAMES)
def test_tsm_stands_in_every_block_that_has_a_shortcut(name: str) -> None:
    with torch.device("meta"):
        model = built(name, TSM(alternate="none"))
        clip = torch.empty(2, 3, 3, 64, 64)
    assert sum(isinstance(module, Shift) for module in model.modules()) == NAMES[name]
    assert model(clip)["label"].shape == (2, 5)


@needs_timm
@pytest.mark.parametrize("place", ["residual_in", "block_in", "block_out"])
def test_what_runs_is_timms_network_with_the_shift_in_its_place(place) -> None:
    model = built(SMALL, TSM(place=place))
    block = model.get_submodule("encoder.network.stages.0.blocks.1")
    x = torch.randn(6, 40, 8, 8)
    found = block(x)
    plain = timm.create_model(SMALL, num_classes=0).eval().stages[0].blocks[1]
    weights = {key.replace("layer.", ""): w for key, w in block.state_dict().items()}
    plain.load_state_dict(weights)
    shifted = shift(x, 3, 5, 5)
    wanted = {
        "residual_in": lambda: x + plain(shifted) - shifted,
        "block_in": lambda: plain(shifted),
        "block_out": lambda: shift(plain(x), 3, 5, 5),
    }[place]()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@needs_timm
def test_the_inner_sites_of_timms_resnet_are_those_of_ours() -> None:
    ops = (TSM(), GroupContext(), LongTermDifference(), GST(), TemporalPool())
    model, twin = (
        built("resnet50", *ops),
        ModelSpec(ResNetSpec(50), ops, num_segments=3, heads=(Head("label", 5),)),
    )
    beside = re.compile(r"\.(?:conv1|act1|conv2|act2)\.(after_\w+|residual_in)\.")
    weights = {
        beside.sub(r".\1.", key.replace("network.", "").replace(".layer.", ".")): weight
        for key, weight in model.state_dict().items()
    }
    ours = twin.build().eval()
    ours.load_state_dict(weights)
    clip = torch.randn(2, 3, 3, 48, 48)
    torch.testing.assert_close(model.features(clip), ours.features(clip), rtol=1e-4, atol=1e-4)


@needs_timm
@pytest.mark.parametrize("name", [SMALL, "mobilenetv3_small_050", "resnet18"])
def test_timms_weights_load_whatever_stands_beside_the_layers(name: str) -> None:
    network = timm.create_model(name).eval()
    model = built(name, TSM(shift_div=10_000, place="block_in"), TSM(shift_div=10_000))
    model.load_encoder(network.state_dict())
    frames = torch.randn(3, 3, 64, 64)
    wanted = network.forward_head(network.forward_features(frames), pre_logits=True)
    torch.testing.assert_close(model.features(frames[None])[0], wanted, rtol=1e-4, atol=1e-5)


@needs_timm
def test_a_network_of_timm_runs_on_a_stream() -> None:
    model = built(SMALL, TSM(direction="past"))
    stream, clip, buffers = streaming(model), torch.randn(1, 3, 3, 64, 64), ()
    wanted = model.heads["label"](model.features(clip))
    for t, frame in enumerate(clip.unbind(1)):
        logits, *buffers = stream(frame, *buffers)
        torch.testing.assert_close(logits, wanted[:, t], rtol=1e-5, atol=1e-5)


@needs_timm
def test_a_network_of_timm_can_be_exported_for_any_batch() -> None:
    model = built(SMALL, TSM())
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(
        model, (torch.randn(2, 3, 3, 64, 64),), strict=False, dynamic_shapes=({0: batch},)
    ).module()
    clip = torch.randn(5, 3, 3, 64, 64)
    torch.testing.assert_close(exported(clip)["label"], model(clip)["label"])


@needs_timm
@pytest.mark.parametrize(
    ("name", "op", "message"),
    [
        ("vgg11", TSM(), "timm's 'vgg11' has no block that is known here; known are resnet.Basic"),
        (SMALL, GroupContext(), "wants the site 'after_bn2', which ConvNeXtBlock 0 of stage 0 la"),
        ("no_such_network", TSM(), "name is 'no_such_network', expected one of timm.list_models"),
        (SMALL, NonLocal(stages=(4,)), "there are 4 stages"),
    ],
)
def test_an_op_without_a_place_is_an_error(name: str, op: TemporalOp, message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        built(name, op)


@needs_timm
def test_without_ops_any_network_of_timm_is_a_tsn() -> None:
    with torch.device("meta"):
        assert built("vgg11")(torch.empty(1, 3, 3, 64, 64))["label"].shape == (1, 5)


def test_a_spec_is_written_and_read_without_timm() -> None:
    spec = ModelSpec(TimmSpec("convnext_tiny"), (TSM(),))
    assert from_yaml(ModelSpec, to_yaml(spec)) == spec


def test_without_timm_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ValueError, match=r"timm cannot be imported .*pip install marey\[timm\]"):
        TimmSpec().build((), 1)
