"""Models of bLVNet-TAM, BigLittleNet and action-recognition-pytorch against their golden files.

The files hold the logits of the original in float32, which are off by up to 6.5e-7 of the largest
by their own account: hence 1e-5. A wrong detail moves them by 0.01 and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from marey.models import VideoModel
from marey.models.profile import num_parameters
from tests.parity.golden import Golden
from tests.parity.specs import rename_of
from tests.parity.test_goldens import MODELS, clip_of, each, loaded, stop_unless_comparable

RULE_FREE = "baseline_model"
"""The whole network inside bLVNet-TAM's wrapper: features, or logits where dropout is 0."""


@each([golden for golden in MODELS if golden.family == "blvnet"])
@torch.no_grad()
def test_logits_and_activations_are_upstreams_on_both_inputs(golden: Golden) -> None:
    stop_unless_comparable(golden)
    values, model = golden.values, loaded(golden).eval()
    assert num_parameters(model) == values["num_params"]
    with probed(model, golden) as probes:
        close(model(clip_of(golden))["label"], values["logits"])
    for name, wanted in values["layer_probe"].items():
        compare(probes[name], wanted, name)
    coarse = clip_of(golden, values["coarse"]["input_block"])
    close(model(coarse)["label"], values["coarse"]["logits"])


def close(logits: Tensor, wanted: list[list[float]]) -> None:
    largest = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(logits.numpy(), wanted, rtol=0, atol=1e-5 * largest)


@contextmanager
def probed(model: VideoModel, golden: Golden) -> Iterator[dict[str, Tensor]]:
    """Inputs ("name:in") and outputs of the modules that the file has numbers of."""
    found: dict[str, Tensor] = {}
    modules = dict(model.named_modules())

    def keep_output(_m: nn.Module, _i: object, out: Tensor, *, name: str) -> None:
        found[name] = out.clone()  # what comes next may work in place

    def keep_input(_m: nn.Module, inputs: tuple[Tensor, ...], *, name: str) -> None:
        found[name] = inputs[0].clone()

    hooks = []
    for name, wanted in golden.values["layer_probe"].items():
        path, _, is_input = name.partition(":")
        module = modules[ours(path, wanted["shape"], golden)]
        if is_input:
            hooks.append(module.register_forward_pre_hook(partial(keep_input, name=name)))
        else:
            hooks.append(module.register_forward_hook(partial(keep_output, name=name)))
    yield found
    for hook in hooks:
        hook.remove()


def ours(path: str, shape: list[int], golden: Golden) -> str:
    if path != "baseline_model":
        return str(rename_of(golden)(path)).replace("gappool", "avgpool")
    return "heads.label" if shape[-1] == golden.config["num_classes"] else "encoder"


def compare(probe: Tensor, wanted: dict[str, list[float]], name: str) -> None:
    """A pair's map stands twice in theirs and once in ours: the same mean, spread and start."""
    clips, frames = wanted["shape"][0], 1
    if len(wanted["shape"]) == 5:
        frames = wanted["shape"][2]
        probe = probe.unflatten(0, (clips, frames)).transpose(1, 2)
    assert probe.numel() in (np.prod(wanted["shape"]), np.prod(wanted["shape"]) / 2), name
    got = {
        "mean": probe.mean().item(),
        "std": probe.std(correction=0).item(),
        "absmax": probe.abs().max().item(),
        "first": probe.flatten()[:4].tolist(),
    }
    for key, value in got.items():
        assert value == pytest.approx(wanted[key], abs=1e-5 * max(1, wanted["absmax"])), name
