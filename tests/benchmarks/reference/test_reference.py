"""Each reference network gives the logits of our model, in evaluation and in training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.paired import relative_error
from benchmarks.reference.catalog import HEADS, MODELS, Compared
from benchmarks.reference.weights import load, made_up_clips
from marey.models import ModelSpec, MotionformerSpec

SMALL = {
    "motionformer-b": ModelSpec(
        MotionformerSpec(depth=3, width=48, num_heads=3), num_segments=4, heads=HEADS, dropout=0.0
    )
}


def small(name: str) -> Compared:
    return replace(MODELS[name], spec=SMALL.get(name, MODELS[name].spec))


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_our_model_which_sees_time(name: str) -> None:
    compared = small(name)
    model, reference = compared.build()
    # In double precision, where it does not matter how a machine rounds.
    model, reference = model.double(), reference.double()
    clip = made_up_clips(compared.spec, 64, seed=1).double()
    with torch.inference_mode():
        ours, backwards = model(clip)["label"], model(clip.flip(1))["label"]
        assert relative_error(ours, reference(clip)) < 1e-12
    assert relative_error(ours, backwards) > 1e-2  # what is equal is not the same whatever they do
    assert relative_error(ours[:1], ours[1:]) > 1e-2


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_our_model(name: str) -> None:
    spec = replace(small(name).spec, num_segments=4)
    model, reference = replace(MODELS[name], spec=spec).build()
    # In double precision, where rounding turns no ReLU off.
    clip = made_up_clips(spec, 64, batch=1, seed=1).double().requires_grad_()
    gradients = []
    for network in (model.double(), reference.double()):
        logits = network(clip)
        logits = logits["label"] if isinstance(logits, dict) else logits
        gradients.append(torch.autograd.grad(logits.square().sum(), clip)[0])
    assert relative_error(*gradients) < 1e-9


def test_weights_that_have_no_place_are_refused() -> None:
    compared = MODELS["tsm-r50"]
    with pytest.raises(ValueError, match="Linear and the model have different tensors"):
        load(nn.Linear(1, 1), compared.spec.build(), compared.rename)
