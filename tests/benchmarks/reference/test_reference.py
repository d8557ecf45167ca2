"""Each reference network gives the logits of our model, in evaluation and in training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.paired import relative_error
from benchmarks.reference.catalog import MODELS, Compared
from benchmarks.reference.weights import load


def clips(compared: Compared) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, *compared.spec.clip_shape(64))


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_our_model(name: str) -> None:
    compared = MODELS[name]
    model, reference = compared.build()
    with torch.inference_mode():
        ours, theirs = model(clips(compared))["label"], reference(clips(compared))
    assert theirs.std() > 1e-3
    assert relative_error(ours, theirs) < 1e-5


def test_weights_that_have_no_place_are_refused() -> None:
    compared = MODELS["tsm-r50"]
    with pytest.raises(ValueError, match="Linear and the model have different tensors"):
        load(nn.Linear(1, 1), compared.spec.build(), compared.rename)
