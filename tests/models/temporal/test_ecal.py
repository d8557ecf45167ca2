from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models import TSM, ECal, Head, MobileNetV2Spec, ModelSpec, ResNetSpec
from marey.models.profile import num_parameters
from marey.models.sites import site_modules
from marey.models.temporal.group_context import Calibrator

BLOCK = ResNetSpec(18).blocks((), 4)[0]


def calibrator(op: ECal) -> Calibrator:
    """The op's module on 64 channels, its norms not at their start."""
    (module,) = op.sites(BLOCK).values()
    assert isinstance(module, Calibrator)
    for layer in module:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None
            nn.init.normal_(layer.running_mean)
            nn.init.normal_(layer.bias)
    return module.eval().double()


def a_clip(batch: int = 1) -> Tensor:
    return torch.randn(
        batch * 4, 64, 5, 6, generator=torch.Generator().manual_seed(batch), dtype=torch.float64
    )


@pytest.mark.parametrize("kernels", ["33", "31"])
def test_the_gate_of_ecal_l_is_two_convolutions_over_time(kernels: str) -> None:
    module = calibrator(ECal("L", 16, kernels))  # type: ignore[arg-type]
    reach = int(kernels[1]) // 2
    x = a_clip(3).unflatten(0, (3, 4)).transpose(1, 2)
    y = F.conv3d(x, module.reduce.weight[..., None], padding=(1, 0, 0))
    y = module.bn1(y.flatten(3)).unflatten(3, (5, 6)).relu()
    y = F.conv3d(y, module.expand.weight[..., None], padding=(reach, 0, 0))
    y = module.bn2(y.flatten(3)).unflatten(3, (5, 6)).sigmoid()
    torch.testing.assert_close(module(a_clip(3)), (x * y).transpose(1, 2).flatten(0, 1))


@pytest.mark.parametrize("kernels", ["33", "31"])
@pytest.mark.parametrize("gate", ["L", "T", "S", "G"])
def test_a_gate_is_between_zero_and_one_and_clips_are_apart(gate: str, kernels: str) -> None:
    module = calibrator(ECal(gate, kernels=kernels))  # type: ignore[arg-type]
    found = module.gate(a_clip(3).unflatten(0, (3, 4)))
    assert 0 < found.min() < found.max() < 1
    other = a_clip(3)
    other[4:8] += 1
    before, after = module(a_clip(3)), module(other)
    assert torch.equal(before[:4], after[:4])
    assert torch.equal(before[8:], after[8:])


@pytest.mark.parametrize(
    ("gate", "kernels", "reduce", "expand"),
    [
        ("L", "31", (4, 64, 3, 1), (64, 4, 1, 1)),
        ("T", "33", (4, 64, 3), (64, 4, 3)),
        ("S", "31", (4, 64, 3, 3), (64, 4, 1, 1)),
        ("G", "33", (4, 64), (64, 4)),
    ],
)
def test_kernels_and_reduction_decide_the_shapes(
    gate: str, kernels: str, reduce: tuple[int, ...], expand: tuple[int, ...]
) -> None:
    module = calibrator(ECal(gate, 16, kernels))  # type: ignore[arg-type]
    assert module.reduce.weight.shape == reduce
    assert module.expand.weight.shape == expand


# Millions of parameters with 174 classes, from the originals.
@pytest.mark.parametrize(
    ("ops", "millions"),
    [
        ((ECal("L"),), 31.441486),
        ((TSM(), ECal("T")), 31.441486),
        ((ECal("G"),), 26.411598),
        ((ECal("S", kernels="31"),), 36.471374),
    ],
)
def test_the_rows_of_the_first_readme_have_their_parameters(ops, millions: float) -> None:
    with torch.device("meta"):
        model = ModelSpec(ResNetSpec(50), ops, heads=(Head("label", 174),)).build()
    assert num_parameters(model) / 1e6 == pytest.approx(millions, abs=1e-7)


def test_it_calibrates_what_is_added_to_the_shortcut_in_any_residual_network() -> None:
    for encoder in (ResNetSpec(18), ResNetSpec(50), MobileNetV2Spec()):
        with torch.device("meta"):
            model = ModelSpec(encoder, (ECal("S", reduction=4),), num_segments=4).build().eval()
            assert model(torch.empty(2, 4, 3, 64, 64))["label"].shape == (2, 400)


def test_stages_of_23_blocks_have_one_in_every_second_block() -> None:
    op = ECal(reduction=64)
    blocks = ResNetSpec(101).blocks((op,), 2)
    with torch.device("meta"):
        found = site_modules((op,), blocks)
    assert [
        sum(bool(f) for f, b in zip(found, blocks, strict=True) if b.stage == s) for s in range(4)
    ] == [3, 4, 12, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gate": "X"}, "gate is 'X', expected 'L' or 'T' or 'S' or 'G'"),
        ({"reduction": 0}, "reduction is 0, expected at least 1"),
        ({"kernels": "13"}, "kernels is '13', expected '33' or '31'"),
        ({"reduction": 100}, "reduces 64 channels to none"),
        ({"site": "conv2"}, "site is 'conv2', where the calibrator would replace the convolution"),
    ],
)
def test_an_impossible_calibrator_is_an_error(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ECal(**arguments).sites(BLOCK)
