from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.models.fused.pointwise import Activation, Steps, convolve, convolve_plainly, pack, takes

ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6", "sigmoid")


@given(
    batch=st.integers(1, 3),
    sides=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from((1, 2, 8)),
    layouts=st.tuples(*[st.sampled_from((torch.contiguous_format, torch.channels_last))] * 3),
    activation=st.sampled_from(ACTIVATIONS),
    has_bias=st.booleans(),
    adds=st.booleans(),
    overwrite=st.booleans(),
    packed=st.booleans() if takes(torch.empty(1), torch.empty(1)) else st.just(False),
)
@settings(max_examples=80, deadline=None)
def test_one_call_equals_its_plain_form(
    batch: int,
    sides: tuple[int, int],
    kernel: int,
    stride: int,
    dilation: int,
    groups: int,
    layouts: tuple[torch.memory_format, ...],
    activation: Activation,
    has_bias: bool,
    adds: bool,
    overwrite: bool,
    packed: bool,
) -> None:
    x = torch.randn(batch, 8, *sides).contiguous(memory_format=layouts[0])
    weight = torch.randn(16, 8 // groups, kernel, kernel).contiguous(memory_format=layouts[1])
    bias = torch.randn(16) if has_bias else None
    padding = kernel // 2
    steps = Steps((stride, stride), (padding, padding), (dilation, dilation), groups)
    plain = convolve_plainly(x, weight, bias, steps)
    plus = torch.randn_like(plain).contiguous(memory_format=layouts[-1]) if adds else None
    before = None if plus is None else plus.clone()
    given_x, plain = x.clone(), convolve_plainly(x, weight, bias, steps, activation, plus)
    filters = pack(weight, steps, (2, 8, 20, 20)) if packed else weight
    ours = convolve(x, filters, bias, steps, activation, plus, overwrite=overwrite)
    torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-5)
    assert torch.equal(x, given_x)
    assert plus is None or overwrite or torch.equal(plus, before)


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
