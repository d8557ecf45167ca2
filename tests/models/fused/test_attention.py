"""Transformers of clips: their forms, with every attention, on any batch and size."""

from __future__ import annotations

import pytest
import torch

from marey.models import (
    Divided,
    Joint,
    MotionformerSpec,
    Nystrom,
    Orthoformer,
    Performer,
    Trajectory,
)
from marey.models.encoders.attention import Attention
from marey.models.fused import attention, fused
from marey.models.video_model import VideoModel
from tests.models.fused.lively import EXACT, clips, difference, lively

ATTENTIONS: dict[str, Attention] = {
    "trajectory": Trajectory(),
    "corrected": Trajectory("corrected"),
    "Orthoformer": Trajectory(frames=Orthoformer(landmarks=6)),
    "Nystrom": Trajectory(frames=Nystrom(landmarks=6)),
    "Performer": Trajectory(frames=Performer(features=16)),
    "divided": Divided(),
    "joint": Joint(),
}


def model_of(name: str, *, depth: int = 3, qkv_bias: bool = True, frames: int = 6) -> VideoModel:
    """A small model, the embeddings and biases of which count."""
    spec = MotionformerSpec(
        ATTENTIONS[name], depth=depth, width=24, num_heads=3, patch=16, qkv_bias=qkv_bias
    )
    model = lively(spec, num_segments=frames)
    for name, weight in model.named_parameters():
        if weight.ndim == 1 or name.endswith("embed"):
            torch.nn.init.normal_(weight, mean=float(weight.mean().detach()), std=0.2)
    return model


@pytest.mark.parametrize("at_a_time", [4, 1000])
@pytest.mark.parametrize("name", ATTENTIONS)
def test_logits_are_those_of_the_model(
    name: str, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "TOKENS", at_a_time)
    monkeypatch.setattr(attention, "QUERIES", 5 * at_a_time)
    model = model_of(name)
    form, clip = fused(model), clips(model, size=48, batch=3)
    with torch.no_grad():
        assert difference(model(clip)["label"], form(clip)["label"]) < EXACT


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("frames", [2, 10])
def test_on_other_depths_and_numbers_of_frames(depth: int, frames: int) -> None:
    model = model_of("trajectory", depth=depth, qkv_bias=False, frames=frames)
    clip = clips(model, size=64, batch=1)
    with torch.no_grad():
        assert difference(model(clip)["label"], fused(model)(clip)["label"]) < EXACT


def test_tokens_are_those_of_the_model() -> None:
    model = model_of("trajectory")
    clip = clips(model, size=48)
    with torch.no_grad():
        assert difference(model.encode(clip, "tokens"), fused(model).encode(clip, "tokens")) < EXACT


def test_in_float64_the_plain_way_is_taken() -> None:
    model = model_of("trajectory").double()
    clip = clips(model, size=48).double()
    with torch.no_grad():
        assert difference(model(clip)["label"], fused(model)(clip)["label"]) < 1e-12


def test_frames_of_no_whole_patches_are_still_refused() -> None:
    form = fused(model_of("trajectory"))
    with pytest.raises(ValueError, match="multiples of 16"):
        form(torch.zeros(1, 6, 3, 40, 48))
