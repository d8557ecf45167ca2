from __future__ import annotations

from pathlib import Path

import pytest
import torch

from marey.models import TSM, Head, MobileNetV2Spec, ModelSpec, NonLocal, ResNetSpec, TDNSpec
from marey.models.profile import cost, num_parameters, training_bytes
from marey.models.temporal.tdn import LearnedShift
from tests.parity.golden import Golden, read
from tests.parity.specs import not_built_yet, spec_of

HEADS = (Head("label", 174),)


# Measured on the original code at 224 x 224 with 174 classes.
@pytest.mark.parametrize(
    ("spec", "millions", "billions"),
    [
        (ModelSpec(ResNetSpec(50), heads=HEADS), 23.86, 32.70),
        (ModelSpec(ResNetSpec(50), (TSM(),), num_segments=16, heads=HEADS), 23.86, 65.40),
        (ModelSpec(ResNetSpec(50), (TSM(), NonLocal()), heads=HEADS), 31.22, 61.10),
        (ModelSpec(MobileNetV2Spec(), (TSM(),), heads=HEADS), 2.45, 2.40),
    ],
    ids=["tsn-r50", "tsm-r50-16f", "tsm-r50-nl", "tsm-mobilenetv2"],
)
def test_parameters_and_gmacs_are_the_published_models(
    spec: ModelSpec, millions: float, billions: float
) -> None:
    counted = cost(spec)
    assert counted.parameters / 1e6 == pytest.approx(millions, abs=0.006)
    assert counted.gmacs == pytest.approx(billions, abs=0.006)


def test_the_cost_is_the_same_where_gradients_are_off_for_good() -> None:
    spec = ModelSpec(ResNetSpec(18), (TSM(),), num_segments=2, heads=HEADS)
    with torch.inference_mode():
        inside = cost(spec, 64)
    assert inside == cost(spec, 64)
    assert inside.gmacs > 0


def test_every_row_of_the_originals_costs_is_ours(goldens_dir: Path) -> None:
    for row in read(goldens_dir / "gc/perf.json").values["rows"]:
        golden = Golden(goldens_dir / "gc/perf.json", row)
        if golden.builder == "online" or not_built_yet(golden):
            continue
        spec, size = spec_of(golden), row["input"][-1]
        counted = cost(spec, size)
        unused = CONV1_TEMP if golden.builder.endswith("tdn") else 0
        millions = (counted.parameters + unused) / 1e6
        billions = counted.gmacs + learned_shifts_gmacs(spec, size)
        assert millions == pytest.approx(row["params_M"], abs=1e-4), row["model"]
        assert billions == pytest.approx(row["gmacs"], abs=1e-3), row["model"]


# A 7x7 convolution with bias that TDN's release builds and never calls.
CONV1_TEMP = 3 * 64 * 7 * 7 + 64


def learned_shifts_gmacs(spec: ModelSpec, size: int) -> float:
    """Three taps a value; we run them as products, which torch's counter does not count."""
    if not isinstance(spec.encoder, TDNSpec):
        return 0.0
    values: list[int] = []
    with torch.device("meta"):
        model = spec.build().eval()
    for module in model.modules():
        if isinstance(module, LearnedShift):
            module.register_forward_hook(lambda _m, _i, out: values.append(out.numel()))
    model(torch.empty(1, *spec.clip_shape(size), device="meta"))
    return 3 * sum(values) / 1e9


def test_memory_is_that_of_the_weights_and_the_tensors_alive_together() -> None:
    spec = ModelSpec(ResNetSpec(18), heads=HEADS, num_segments=2)
    counted, state = cost(spec, 64), spec.build().state_dict()
    weights = sum(w.numel() * w.element_size() for w in state.values())
    clip, stem = 2 * 3 * 64 * 64, 2 * 64 * 32 * 32
    widest = 4 * (clip + 2 * stem)  # the stem's norm writes a second map beside the first
    assert counted.peak_bytes == pytest.approx(weights + widest, abs=1024)  # a norm notes its means


def test_a_step_holds_the_activations_of_what_learns_alone() -> None:
    with torch.device("meta"):
        model = ModelSpec(ResNetSpec(18), num_segments=2, heads=HEADS).build()
    bytes_of = {b: training_bytes(model, (b, 2, 3, 64, 64)) for b in (4, 8, 16)}
    assert bytes_of[16] - bytes_of[8] == pytest.approx(2 * (bytes_of[8] - bytes_of[4]), rel=0.05)
    weights = 4 * num_parameters(model)
    model.encoder.requires_grad_(False)
    assert weights < training_bytes(model.eval(), (16, 2, 3, 64, 64)) < bytes_of[16] / 2
