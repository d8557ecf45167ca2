"""Every golden file in the folder against our models; files never seen before are welcome.

A file's `builder` and `config` become a `ModelSpec` (`specs.py`), its tensors get our names
(`marey.convert`). Tolerances: in float64 two right networks differ by rounding only, some 1e-15; in
float32 by some 1e-7 of the largest logit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.convert.repository import renamed
from marey.engine.train.optim import build_optimizer
from marey.models import VideoModel
from marey.models.optim_groups import tsm_groups
from marey.models.profile import num_parameters
from marey.models.shapes import shapes_only
from marey.recipes.optim import SGD
from tests.conftest import goldens
from tests.parity.golden import Golden, golden_rule, read
from tests.parity.specs import (
    calibrator_lr_of,
    differs_on_purpose,
    learns_head_fast,
    not_built_yet,
    rename_of,
    spec_of,
)

FILES = [read(path) for path in sorted(goldens().rglob("*.json"))]
MODELS = [golden for golden in FILES if golden.is_model]

# Files that hold no model, and where they are tested.
ELSEWHERE = {
    "gc/crops.json": "tests/video/test_crops.py",
    "gc/index.json": "test_the_index_lists_every_model (here)",
    "gc/perf.json": "tests/models/test_profile.py",
    "gc/sampling.json": "tests/video/test_sampling.py",
    "gc/schedules.json": "tests/engine/test_optim.py",
    "blvnet/sampling.json": "tests/video/test_blvnet_sampling.py",
    "blvnet/to_beat_arp.json": "tests/parity/test_blvnet_costs.py",
    "blvnet/to_beat_bln.json": "tests/parity/test_blvnet_costs.py",
    "blvnet/to_beat_blvnet.json": "tests/parity/test_blvnet_costs.py",
    "blvnet/to_beat_interleaved.json": "times of another machine: no test",
    "blvnet/transforms.json": "tests/video/test_blvnet_transforms.py",
    "blvnet/units.json": "tests/parity/test_units.py",
    "lmr/attention_functions.json": "tests/parity/test_motionformer_units.py",
    "lmr/epic_groups.json": "tests/parity/test_longtail_metrics.py",
    "lmr/epic_verb_counts.json": "tests/parity/test_longtail_metrics.py",
    "lmr/lmr_class_weights.json": "tests/parity/test_lmr.py",
    "lmr/lmr_full_code.json": "tests/parity/test_lmr.py",
    "lmr/lmr_simple_example.json": "tests/parity/test_lmr.py",
    "lmr/metrics.json": "tests/parity/test_longtail_metrics.py",
    "lmr/mf_train_steps.json": "tests/parity/test_motionformer_units.py",
    "lmr/perf.json": "tests/parity/test_motionformer_goldens.py",
    "lmr/reference_behaviours.json": "tests/convert/test_motionformer.py, test_lmr_sampling.py",
    "lmr/sampling.json": "tests/parity/test_lmr_sampling.py",
    "lmr/state_dict_schemes.json": "tests/convert/test_motionformer.py",
    "lmr/videolt.json": "tests/parity/test_videolt*.py, test_longtail_metrics.py",
}

# Whole networks that differ from one that stays only in a number: segments, picture, cdiv, depth.
# `make test-long` runs them.
LONG = {
    "blvnet/blresnet-50-a2-b4_224.json": "blresnet-50-a2-b4_112",
    "blvnet/blvnet-tam-50-a2-b4-f16x2_112.json": "blvnet-tam-50-a2-b4-f8x2_112",
    "blvnet/blvnet-tam-50-a2-b4-f8x2_224.json": "blvnet-tam-50-a2-b4-f8x2_112",
    "gc/ecal_L_tsn_r50_8f_cdiv2.json": "ecal_L_tsn_r50_8f_cdiv4",
    "gc/ecalv0_L_tsn_r50_16f_r16.json": "ecalv0_L_tsn_r50_8f_r16",
    "gc/gc_gst_r50_16f_loop.json": "gc_gst_r50_8f_loop",
    "gc/gc_tsn_r50_16f.json": "gc_tsn_r50_8f",
    "gc/gst_r50_8f_a4b2.json": "train_gst_r50_8f_a4b2, gst_r50_8f_a4b1",
    "gc/tsm_r50_16f_blockres8.json": "tsm_r50_8f_blockres8",
    "lmr/mf_full_divided_224_16.json": "mf_divided_d2_112",
    "lmr/mf_full_joint_224_16.json": "mf_joint_d2_112",
}
"""File -> the one that stays."""


def name_of(golden: Golden) -> str:
    return f"{golden.family}/{golden.path.name}"


def each(wanted: list[Golden]) -> pytest.MarkDecorator:
    """One test a file; without the folder, one that is skipped with the reason."""
    if not FILES:
        absent = pytest.mark.skip(reason=f"no goldens at {goldens()}; set MAREY_GOLDENS")
        return pytest.mark.parametrize("golden", [pytest.param(None, marks=absent)])
    long = {name: [pytest.mark.long] for name in LONG}
    rows = [pytest.param(g, id=(name := name_of(g)), marks=long.get(name, ())) for g in wanted]
    return pytest.mark.parametrize("golden", rows)


@each([golden for golden in FILES if not golden.is_model])
def test_a_file_without_a_model_is_tested_elsewhere(golden: Golden) -> None:
    assert name_of(golden) in ELSEWHERE, (
        f"{name_of(golden)} holds no model and no test is known to read it; name one in ELSEWHERE"
    )
    if ELSEWHERE[name_of(golden)] == "not built yet":
        pytest.xfail(f"not built yet: {name_of(golden)}")


@each([g for g in MODELS if not g.is_training and g.family not in ("blvnet", "lmr")])
def test_logits_and_activations_are_upstreams(golden: Golden) -> None:
    stop_unless_comparable(golden)
    model = loaded(golden).eval()
    if "params" in golden.values:
        assert num_parameters(model) + num_dropped(golden) == golden.values["params"]
    for dtype, key, tolerance in (
        (torch.float64, "logits", 1e-9),
        (torch.float32, "logits_float32", 1e-5),
    ):
        if key not in golden.values and "logits_per_frame" not in golden.values:
            continue
        model = model.to(dtype)
        with torch.no_grad(), probed(model, golden) as probes:
            logits = scores(model, golden, clip_of(golden).to(dtype))
        wanted = np.array(golden.values.get(key, golden.values.get("logits_per_frame")))
        largest = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(logits.numpy(), wanted, rtol=0, atol=tolerance * largest)
        if dtype == torch.float64:
            compare_probes(probes, golden)


@each([golden for golden in MODELS if golden.is_training])
def test_one_training_step_is_upstreams(golden: Golden) -> None:
    stop_unless_comparable(golden)
    values, model = golden.values, loaded(golden).double().train()
    rename = rename_of(golden)
    theirs = {ours: name for name in golden.names if (ours := rename(name))}
    logits = model(clip_of(golden).double())["label"]
    np.testing.assert_allclose(logits.detach().numpy(), values["logits"], rtol=1e-9, atol=1e-9)
    loss = F.cross_entropy(logits, torch.tensor(values["labels"]))
    assert loss.item() == pytest.approx(values["loss"], rel=1e-9)

    step = values["sgd"]
    rates = SGD(
        lr=step["lr"],
        momentum=step["momentum"],
        weight_decay=step["weight_decay"],
        groups="tsm" if step.get("multipliers_applied", True) else "one",
        head_lr5=learns_head_fast(golden),
        calibrator_lr=calibrator_lr_of(golden),
    )
    learn = {theirs[name] for name, p in model.named_parameters() if p.requires_grad}
    assert multiples(model, rates, theirs) == merged(
        ((group["lr_mult"], group["decay_mult"]), learn & set(group["params"]))
        for group in values["optim_groups"]
    )
    optimizer = build_optimizer(model, rates)
    loss.backward()
    gradients = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
    }
    compare_norms(gradients, values["grad_l2"], theirs)
    total = nn.utils.clip_grad_norm_(model.parameters(), step["clip"])
    assert total.item() == pytest.approx(values["total_grad_norm_before_clip"], rel=1e-8)
    optimizer.step()
    compare_norms(dict(model.named_parameters()), values["param_l2_after_step"], theirs)
    compare_norms(dict(model.named_buffers()), values["buffer_l2_after_forward"], theirs)


def test_the_index_lists_every_model() -> None:
    index = [golden for golden in FILES if golden.path.name == "index.json"]
    if not index:
        pytest.skip("no index in the goldens folder")
    for golden in index:
        listed = {row["file"] for row in golden.values["rows"]}
        beside = {g.path.name for g in MODELS if g.family == golden.family}
        assert listed <= beside, f"listed but absent: {sorted(listed - beside)}"


def stop_unless_comparable(golden: Golden) -> None:
    if name := not_built_yet(golden):
        pytest.xfail(f"not built yet: {name}")
    if fault := differs_on_purpose(golden):
        pytest.xfail(fault)


def loaded(golden: Golden) -> VideoModel:
    """Our model with upstream's weights, every key of both sides used."""
    rule = golden_rule(golden.path.parent)
    if hasattr(rule, "selftest"):
        rule.selftest()
    with shapes_only():  # so that nothing is left of a start of our own
        model = spec_of(golden).build()
    model.load_state_dict(
        renamed(golden.weights(), rename_of(golden), model.state_dict()), assign=True
    )
    return model


def clip_of(golden: Golden, block: int = 1) -> Tensor:
    """The input as [b t c h w]; upstream packs frames and their channels in one axis.

    Networks with 3-D convolutions have channels before time instead.
    """
    x, spec = golden.input(block), spec_of(golden)
    if x.ndim == 5:
        return x.transpose(1, 2)
    return x.reshape(-1, spec.frames, spec.encoder.in_channels, *x.shape[-2:])


def scores(model: VideoModel, golden: Golden, clip: Tensor) -> Tensor:
    """The logits that the file stores: of the clip, or of each frame."""
    if "logits_per_frame" not in golden.values:
        return model(clip)["label"]
    each_frame: Tensor = model.heads["label"](model.features(clip))
    return each_frame[0]


def num_dropped(golden: Golden) -> int:
    """Parameters of the original that nothing calls, and that our model therefore has not."""
    rename = rename_of(golden)
    return sum(prod(shape) for name, shape, *_ in golden.values["state_dict"] if not rename(name))


def multiples(
    model: VideoModel, rates: SGD, theirs: dict[str, str]
) -> dict[tuple[float, float], set[str]]:
    """What learns, by the multiples of rate and decay; groups of other names may share them."""
    groups = tsm_groups(model, head_lr5=rates.head_lr5, calibrator_lr=rates.calibrator_lr)
    return merged(
        ((group.lr_mult, group.decay_mult), {theirs[name] for name in group.parameters})
        for group in groups
    )


def merged(
    groups: Iterable[tuple[tuple[float, float], set[str]]],
) -> dict[tuple[float, float], set[str]]:
    found: dict[tuple[float, float], set[str]] = {}
    for multiples_of_group, names in groups:
        if names:
            found.setdefault(multiples_of_group, set()).update(names)
    return found


def compare_norms(
    tensors: dict[str, Tensor], wanted: dict[str, float | None], theirs: dict[str, str]
) -> None:
    norms = {theirs[name]: tensor.double().norm().item() for name, tensor in tensors.items()}
    wanted = {name: norm for name, norm in wanted.items() if name in theirs.values()}
    assert set(wanted) <= set(norms)
    for name, norm in wanted.items():
        assert norms[name] == pytest.approx(norm or 0.0, rel=1e-7, abs=1e-9), name


@contextmanager
def probed(model: VideoModel, golden: Golden) -> Iterator[dict[str, dict[str, object]]]:
    """The fingerprints of activations that the file has too, filled while the model runs."""
    rule, rename = golden_rule(golden.path.parent), rename_of(golden)
    found: dict[str, dict[str, object]] = {}
    modules = dict(model.named_modules())
    hooks = []
    for name, wanted in golden.values.get("layer_probe_float64", {}).items():
        if name.endswith((".block", ".nl")):
            continue  # inside upstream's wrapper: no module of ours, or time after channels

        def record(_m: nn.Module, _i: object, out: Tensor, name=name, shape=wanted["shape"]):
            found[name] = rule.probe(laid_out(out.detach(), shape).numpy())

        hooks.append(modules[rename(name)].register_forward_hook(record))
    yield found
    for hook in hooks:
        hook.remove()


def laid_out(out: Tensor, shape: list[int]) -> Tensor:
    """`out` as upstream has it; a 3-D network has time behind the channels."""
    if len(shape) < 5:
        return out.reshape(shape)
    batch, channels, frames = shape[:3]
    return out.reshape(batch, frames, channels, *shape[3:]).transpose(1, 2)


def compare_probes(probes: dict[str, dict[str, object]], golden: Golden) -> None:
    for name, probe in probes.items():
        wanted = golden.values["layer_probe_float64"][name]
        for key in ("mean", "std", "absmax"):
            assert probe[key] == pytest.approx(wanted[key], rel=1e-9), f"{name} {key}"
        np.testing.assert_allclose(probe["at"], wanted["at"], rtol=1e-9, atol=1e-12, err_msg=name)
