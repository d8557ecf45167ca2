"""Differences of frames beside the frames, seen by the same network."""

from __future__ import annotations

import pytest
import torch

from marey.engine.weights.imagenet import official_for
from marey.models import (
    TSM,
    Head,
    InceptionV3Spec,
    MobileNetV2Spec,
    ModelSpec,
    MotionformerSpec,
    ResNetSpec,
    RGBDifferenceSpec,
    TDNSpec,
)
from marey.recipes.schema import from_yaml, to_yaml
from marey.video.augment import normalize

SMALL = ResNetSpec(18, channels=2)
SPEC = ModelSpec(RGBDifferenceSpec(SMALL), num_segments=3, heads=(Head("label", 2),))


def test_frames_come_first_and_differences_are_pictures_of_their_own() -> None:
    model = SPEC.build().eval()
    pixels = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)
    change = pixels[:, 1:].float() - pixels[:, :-1].float()
    pictures = (127.5 + change).clamp(0, 255)
    x = model.encode(normalize(pixels))
    assert x.shape == (2, 5, 16)
    network = SMALL.build((), 1).eval()
    network.load_state_dict(model.encoder.network.state_dict())
    frames = network(normalize(pixels).flatten(0, 1)[:, None]).view(2, 3, 16)
    torch.testing.assert_close(x[:, :3], frames)
    mean, std = (torch.tensor(v)[:, None, None] for v in (SPEC.encoder.mean, SPEC.encoder.std))  # type: ignore[attr-defined]
    seen = ((pictures / 255 - mean) / std).flatten(0, 1)[:, None]
    torch.testing.assert_close(x[:, 3:], network(seen).view(2, 2, 16), rtol=1e-4, atol=1e-5)


def test_what_stands_still_is_grey() -> None:
    still = torch.randn(1, 1, 3, 32, 32).expand(1, 3, 3, 32, 32)
    x = SPEC.build().eval().encode(still)
    torch.testing.assert_close(x[:, 3], x[:, 4])


def test_it_starts_from_the_weights_of_its_network() -> None:
    model = SPEC.build()
    network = SMALL.build((), 1)
    model.load_encoder(network.state_dict())
    assert torch.equal(model.encoder.network.conv1.weight, network.conv1.weight)
    assert set(model.state_dict()) == {
        *(f"encoder.network.{name}" for name in network.state_dict()),
        "heads.label.weight",
        "heads.label.bias",
    }
    assert official_for(RGBDifferenceSpec(MobileNetV2Spec())).name == "mobilenet_v2"


def test_it_goes_to_yaml_and_back() -> None:
    assert from_yaml(ModelSpec, to_yaml(SPEC)) == SPEC


def test_pictures_are_those_that_the_network_takes() -> None:
    spec = RGBDifferenceSpec(InceptionV3Spec(channels=4))
    assert spec.on_clips(4, 75) == ""
    assert RGBDifferenceSpec(ResNetSpec(18)).on_clips(4, 8) == ""
    with pytest.raises(ValueError, match="have 74 pixels, expected at least 75"):
        spec.on_clips(4, 74)


def test_networks_of_several_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="takes several frames at once"):
        RGBDifferenceSpec(TDNSpec(18))
    with pytest.raises(ValueError, match="no temporal op is to mix them"):
        ModelSpec(RGBDifferenceSpec(SMALL), (TSM(),)).build()
    with pytest.raises(ValueError, match="mean has 1 value and std 3"):
        RGBDifferenceSpec(SMALL, mean=(0.5,))
    whole = RGBDifferenceSpec(MotionformerSpec(depth=1, width=8, num_heads=2, tubelet=1))
    with pytest.raises(ValueError, match="it looks at several at once"):
        ModelSpec(whole, num_segments=2).build().eval().encode(torch.zeros(1, 2, 3, 16, 16))
