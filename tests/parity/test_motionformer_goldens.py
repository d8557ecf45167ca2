"""Motionformer and lmr-release against their golden files: logits, activations, costs.

The files are in float32, and so is the comparison: 1e-5 of the largest number. A wrong detail moves
the logits by 1e-3 and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from marey.convert import motionformer
from marey.convert.repository import renamed
from marey.models import Divided, Head, Joint, ModelSpec, MotionformerSpec, Trajectory, VideoModel
from marey.models.profile import cost, num_parameters
from marey.models.shapes import shapes_only
from tests.conftest import goldens
from tests.parity.golden import Golden, golden_rule, read
from tests.parity.specs import spec_of
from tests.parity.test_goldens import MODELS, each

OURS = [golden for golden in MODELS if golden.family == "lmr"]
PERF = goldens() / "lmr/perf.json"


@each([golden for golden in OURS if "logits" in golden.values])
@torch.no_grad()
def test_logits_and_activations_are_upstreams(golden: Golden) -> None:
    model, dropped = loaded(golden)
    if "params" in golden.values:
        assert num_parameters(model) + dropped == golden.values["params"]
    torch.manual_seed(golden.values.get("torch_seed_before_forward") or 0)  # Orthoformer's start
    with probed(model, golden) as probes:
        scores = model(golden.input().transpose(1, 2))
    logits_of = golden.values["logits"]
    if not isinstance(logits_of, dict):
        logits_of = {"head": logits_of}
    for theirs, logits in logits_of.items():
        head = str(motionformer.rename(theirs)).removeprefix("heads.")
        largest = max(1.0, float(np.abs(logits).max()))
        np.testing.assert_allclose(scores[head].numpy(), logits, rtol=0, atol=1e-5 * largest)
    for name, wanted_probe in golden.values.get("layer_probe", {}).items():
        compare(probes[name], wanted_probe, golden, name)


CRASHED = [golden for golden in OURS if "error" in golden.values]


@each(CRASHED)
@torch.no_grad()
def test_what_crashes_upstream_runs_and_is_near_to_exact_attention(golden: Golden) -> None:
    """Upstream's approximations of attention, which are all of its options that crash."""
    assert golden.config.get("VIT.APPROX_ATTN_TYPE", "none") != "none"
    weights = loaded(golden)[0].state_dict()
    spec = spec_of(golden)
    exact = replace(spec, encoder=replace(spec.encoder, attention=Trajectory()))
    scores = []
    for model in (spec.build().eval(), exact.build().eval()):
        model.load_state_dict(weights)
        scores.append(model(golden.input().transpose(1, 2))["label"])
    error = (scores[0] - scores[1]).abs().max().item()
    assert 0 < error < 0.2, error


def loaded(golden: Golden) -> tuple[VideoModel, int]:
    """Our model with upstream's weights, and how many of them it has no use for."""
    spec = spec_of(golden)
    weights = motionformer.parts(golden.weights(), spec)
    with shapes_only():  # so that nothing is left of a start of our own
        model = spec.build().eval()
    ours = renamed(weights, motionformer.rename, model.state_dict())
    model.load_state_dict(ours, assign=True)
    return model, sum(w.numel() for name, w in weights.items() if not motionformer.rename(name))


@contextmanager
def probed(model: VideoModel, golden: Golden) -> Iterator[dict[str, Tensor]]:
    """The activations that the file has numbers of, filled while the model runs."""
    found: dict[str, Tensor] = {}
    hooks = []
    for name in golden.values.get("layer_probe", {}):
        if name == "tokens_plus_pos":
            first = model.encoder.get_submodule("blocks.0")
            hooks.append(
                first.register_forward_pre_hook(lambda _m, x: found.update(tokens_plus_pos=x[0]))
            )
            continue

        def keep(_m: nn.Module, _i: object, out: Tensor, name: str = name) -> None:
            found[name] = out

        hooks.append(model.encoder.get_submodule(name).register_forward_hook(keep))
    yield found
    for hook in hooks:
        hook.remove()


def compare(probe: Tensor, wanted: dict[str, Any], golden: Golden, name: str) -> None:
    """The whole activation; of what only CLS is computed here, its beginning."""
    if name == "patch_embed":  # [b d f h w]
        probe = probe.flatten(2).transpose(1, 2).reshape(wanted["shape"])
    close = 1e-5 * max(1.0, wanted["absmax"])
    got = golden_rule(golden.path.parent).probe(probe.numpy())
    np.testing.assert_allclose(got["first"], wanted["first"], rtol=0, atol=close, err_msg=name)
    if probe.numel() == np.prod(wanted["shape"]):
        for key in ("last", "mean", "std", "absmax"):
            np.testing.assert_allclose(got[key], wanted[key], rtol=0, atol=close, err_msg=name)
    else:
        assert probe.shape[1] == 1, name


@pytest.mark.skipif(not PERF.is_file(), reason=f"no {PERF}; set MAREY_GOLDENS")
@pytest.mark.parametrize("variant", ["trajectory", "trajectory_fixed", "divided", "joint"])
def test_costs_are_the_originals_less_what_leads_nowhere(variant: str) -> None:
    table = read(PERF).values
    theirs = next(row for row in table["params_flops_wall"] if row["variant"] == variant)
    spec = ModelSpec(FULL[variant], (), num_segments=16, heads=(Head("label", 400),), dropout=0.0)
    counted = cost(spec)
    unused, saved = saved_by(spec.encoder)
    assert counted.parameters + unused == theirs["params"]
    assert counted.gmacs == pytest.approx(theirs["gmacs"] - saved, rel=1e-9)
    for row in table["independent_and_lean"]:
        if row["variant"] == variant and row["lean"]:
            assert counted.gmacs < row["gflops"] / 2


FULL = {
    "trajectory": MotionformerSpec(),
    "trajectory_fixed": MotionformerSpec(Trajectory("corrected")),
    "divided": MotionformerSpec(Divided()),
    "joint": MotionformerSpec(Joint()),
}


def saved_by(spec: MotionformerSpec) -> tuple[int, float]:
    """Parameters and GMACs of the original, at 16 x 224 x 224, that no result depends on."""
    d, frames, places, heads = spec.width, 8, 196, spec.num_heads
    s = frames * places  # queries of trajectories; n = s + 1 tokens
    patch_embed = (3 * 16 * 16 + 1) * d
    last = s * d * d * 10 + 2 * s * (s + 1) * d  # q, proj and mlp of all but CLS, and their looks
    if isinstance(spec.attention, Divided):
        return patch_embed, (s * d * d * 10 + 2 * s * (places + 1) * d) / 1e9
    if isinstance(spec.attention, Joint):
        return patch_embed, last / 1e9
    released = spec.attention.values == "released"
    folded = s * d * d + s * heads * frames * d  # the key's matrix in the query; its look
    along = s * frames * d if released else s * d * d + s * heads * frames * d
    theirs = s * frames * 2 * d * d + 2 * s * frames * d
    block = theirs - folded - along
    last = s * d * d * 11 + 2 * s * s * d + theirs
    per_block = (d * d + 2 * d) if released else d  # W_v, its bias and the key's; the key's
    unused = (spec.depth - 1) * per_block + 3 * (d * d + d)
    return patch_embed + unused, ((spec.depth - 1) * block + last) / 1e9
