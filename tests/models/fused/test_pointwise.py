from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.models.fused.pointwise import Activation, Steps, convolve, convolve_plainly

ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6")


@given(
    batch=st.integers(1, 3),
    sides=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from((1, 2, 8)),
    layouts=st.lists(st.sampled_from((torch.contiguous_format, torch.channels_last)), min_size=2),
    activation=st.sampled_from(ACTIVATIONS),
    has_bias=st.booleans(),
    adds=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_one_call_equals_its_plain_form(
    batch: int,
    sides: tuple[int, int],
    kernel: int,
    stride: int,
    dilation: int,
    groups: int,
    layouts: list[torch.memory_format],
    activation: Activation,
    has_bias: bool,
    adds: bool,
) -> None:
    x = torch.randn(batch, 8, *sides).contiguous(memory_format=layouts[0])
    weight = torch.randn(16, 8 // groups, kernel, kernel).contiguous(memory_format=layouts[1])
    bias = torch.randn(16) if has_bias else None
    padding = kernel // 2
    steps = Steps((stride, stride), (padding, padding), (dilation, dilation), groups)
    plain = convolve_plainly(x, weight, bias, steps)
    plus = torch.randn_like(plain) if adds else None
    before = None if plus is None else plus.clone()
    case = x, weight, bias, steps, activation, plus
    torch.testing.assert_close(convolve(*case), convolve_plainly(*case), atol=1e-4, rtol=1e-5)
    assert plus is None or torch.equal(plus, before)


STEPS = Steps((1, 1), (1, 1), (1, 1), 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_take_the_plain_way(dtype: torch.dtype) -> None:
    x, weight = torch.randn(1, 3, 5, 5, dtype=dtype), torch.randn(4, 3, 3, 3, dtype=dtype)
    y = convolve(x, weight, None, STEPS, "relu")
    assert y.dtype == dtype
    assert torch.equal(y, convolve_plainly(x, weight, None, STEPS, "relu"))


def test_gradients_reach_the_input() -> None:
    x, weight = torch.randn(1, 3, 5, 5, requires_grad=True), torch.randn(4, 3, 3, 3)
    convolve(x, weight, None, STEPS, "relu").sum().backward()
    assert x.grad is not None


def test_autocast_is_kept() -> None:
    x, weight = torch.randn(1, 3, 5, 5), torch.randn(4, 3, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolve(x, weight, None, STEPS).dtype == torch.bfloat16


def test_without_the_private_operators_the_result_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, weight, plus = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3), torch.randn(2, 4, 5, 5)
    one_call = convolve(x, weight, None, STEPS, "relu", plus)
    monkeypatch.setattr("marey.models.fused.pointwise._EXIST", False)
    torch.testing.assert_close(convolve(x, weight, None, STEPS, "relu", plus), one_call)


def test_an_exported_graph_holds_ordinary_operators_only() -> None:
    class Layer(torch.nn.Module):
        def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return convolve(x, weight, None, STEPS, "relu")

    example = torch.randn(1, 3, 5, 5), torch.randn(4, 3, 3, 3)
    graph = torch.export.export(Layer(), example).graph
    assert not any("mkldnn" in str(node.target) for node in graph.nodes)
