from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from marey.models import TAM, TSM, BLResNetSpec, MobileNetV2Spec, ResNetSpec
from marey.models.encoder import Encoder
from marey.models.temporal.kernels import Move, blend_plainly
from marey.models.temporal.tam import Aggregation, Route


def aggregate_by_loop(x: Tensor, module: Aggregation, routes: list[Route]) -> Tensor:
    """The equation, frame by frame."""
    frames, spec = module.num_frames, module.spec
    sources = x.reshape(module.num_sources, -1, frames, *x.shape[1:])
    out = x.new_empty(module.num_targets, *sources.shape[1:])
    zeros = torch.zeros_like(sources[0, :, 0])
    for into in range(module.num_targets):
        for t in range(frames):
            terms = []
            for route in (route for route in routes if route.into == into):
                at, weight = t + route.step, module.taps[route.tap]
                frame = sources[route.source, :, at] if 0 <= at < frames else zeros
                terms.append(F.conv2d(frame, weight) if weight.ndim == 4 else frame * weight)
            stacked = torch.stack(terms)
            out[into, :, t] = stacked.sum(0) if spec.reduce == "sum" else stacked.amax(0)
    return out.flatten(0, 2).relu()


def routes_of(spec: TAM) -> list[Route]:
    return [Route(0, 0, step, tap) for tap, step in enumerate(spec.steps())]


def pairs(spec: TAM) -> list[Route]:
    """Two parts read two parts, frames further apart."""
    return [
        Route(into, (into + tap) % 2, step, tap)
        for into in (0, 1)
        for tap, step in enumerate(spec.steps())
    ]


@st.composite
def cases(
    draw: st.DrawFn, *, forms: tuple[str, ...] = ("sum", "max", "full")
) -> tuple[Tensor, Aggregation, list[Route]]:
    form = draw(st.sampled_from(forms))
    spec = TAM(
        taps=draw(st.integers(1, 7)),
        reduce="max" if form == "max" else "sum",
        init="reference",
        depthwise=form != "full",
    )
    clips, frames, channels = (draw(st.integers(1, 5)) for _ in range(3))
    routes = (pairs if draw(st.booleans()) else routes_of)(spec)
    module = Aggregation(spec, channels, frames, routes).double()
    parts = module.num_sources
    shape = (parts * clips * frames, channels, draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    x = torch.randn(shape, dtype=torch.float64)
    if draw(st.booleans()):
        x = x.contiguous(memory_format=torch.channels_last)
    return x, module, routes


@given(cases())
@settings(max_examples=60, deadline=None)
@torch.no_grad()
def test_it_equals_the_equation_frame_by_frame(
    case: tuple[Tensor, Aggregation, list[Route]],
) -> None:
    x, module, routes = case
    wanted = aggregate_by_loop(x, module, routes)
    torch.testing.assert_close(module(x), wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_plain_operators(module, x), wanted, rtol=1e-12, atol=1e-12)


@given(cases(forms=("sum",)))
@settings(max_examples=30, deadline=None)
def test_the_operators_backward_is_autograds_of_the_plain_form(
    case: tuple[Tensor, Aggregation, list[Route]],
) -> None:
    x, module, _ = case
    gradients = []
    for run in (module, lambda x: by_plain_operators(module, x)):
        module.zero_grad()
        leaf = x.clone().requires_grad_()
        out = run(leaf)
        (out * torch.arange(out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        zeros = [torch.zeros_like(tap) for tap in module.taps]  # a tap may see no frame at all
        taps = [z if t.grad is None else t.grad for t, z in zip(module.taps, zeros, strict=True)]
        gradients.append([leaf.grad, *(tap.clone() for tap in taps)])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-9)


def by_plain_operators(module: Aggregation, x: Tensor) -> Tensor:
    moves: list[Move] = [move for move, _ in module.terms]
    weights = [sum((module.taps[t] for t in taps), torch.zeros(())) for _, taps in module.terms]
    parts = (module.num_sources, module.num_targets)
    return blend_plainly(x, weights, moves, module.num_frames, parts, module.spec.reduce)


def test_it_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    module = Aggregation(TAM(init="reference"), 2, 3).double()
    x = torch.randn(6, 2, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: module(x) ** 2, x)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_keeps_dtype_and_memory_layout(layout: torch.memory_format) -> None:
    x = torch.randn(4, 8, 3, 3, dtype=torch.bfloat16).contiguous(memory_format=layout)
    y = Aggregation(TAM(), 8, 2)(x)  # weights in float32, as under autocast
    assert (y.dtype, y.stride()) == (x.dtype, x.stride())


@pytest.mark.parametrize("taps", range(1, 8))
@pytest.mark.parametrize("depthwise", [True, False])
def test_it_starts_as_the_identity_of_non_negative_maps(taps: int, depthwise: bool) -> None:
    x = torch.rand(10, 4, 3, 3)
    module = Aggregation(TAM(taps, depthwise=depthwise), 4, 5)
    torch.testing.assert_close(module(x), x, rtol=0, atol=1e-7)


def test_the_reference_start_is_kaimings_of_the_originals() -> None:
    torch.manual_seed(0)
    module = Aggregation(TAM(init="reference"), 2048, 8)
    spread = torch.cat([tap.flatten() for tap in module.taps]).std().item()
    assert spread == pytest.approx((2 / 2048) ** 0.5, rel=0.03)


@pytest.mark.parametrize(
    "encoder",
    [ResNetSpec(18), ResNetSpec(50), MobileNetV2Spec(0.35), BLResNetSpec(50)],
    ids=repr,
)
def test_it_stands_before_the_first_convolution_of_every_block(encoder: Encoder) -> None:
    with torch.device("meta"):
        model = encoder.build((TAM(),), 4)
        found = {n: m for n, m in model.named_modules() if isinstance(m, Aggregation)}
        assert len(found) == len(encoder.blocks((), 4))  # type: ignore[attr-defined]
        assert all(name.endswith(".residual_in") for name in found)
        assert model(torch.empty(2, 4, 3, 64, 64)).shape == (2, 4, model.num_features)


def test_tam_resnet50_has_sixteen_with_39360_parameters() -> None:
    with torch.device("meta"):
        model = ResNetSpec(50).build((TAM(),), 8)
    added = [p for name, p in model.named_parameters() if ".residual_in." in name]
    assert (len(added), sum(p.numel() for p in added)) == (3 * 16, 39_360)


def test_its_cost_is_counted_as_that_of_depthwise_convolutions() -> None:
    module = Aggregation(TAM(5), 8, 4)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.rand(4, 8, 6, 6))
    assert counter.get_total_flops() == 2 * 5 * 4 * 8 * 6 * 6


def test_print_shows_frames_and_taps() -> None:
    shown = str(Aggregation(TAM(5, "max"), 8, 4))
    assert "num_frames=4, TAM(taps=5, reduce='max'" in shown


def test_no_tap_is_an_error() -> None:
    with pytest.raises(ValueError, match="taps is 0, expected at least 1"):
        TAM(taps=0)


def test_two_ops_before_the_first_convolution_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"TSM\(.*\) and TAM\(.*\) both want the site"):
        ResNetSpec(18).build((TSM(), TAM()), 8)
