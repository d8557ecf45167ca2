from __future__ import annotations

import pytest
import torch
from torch import nn

from marey.models.fused import chained, form_of
from marey.models.fused.linear import Patches, Projection
from marey.models.fused.pointwise import FEW


@pytest.mark.parametrize("rows", [3, FEW])
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_a_linear_layer_and_gelu_are_one(rows: int, bias: bool) -> None:
    layer = nn.Linear(12, 20, bias=bias)
    (form,) = chained([layer, nn.GELU()])
    x = 3 * torch.randn(2, rows, 12)
    expected = nn.functional.gelu(layer(x))
    torch.testing.assert_close(form(x), expected, atol=1e-5, rtol=1e-5)
    of_part = x[:, 1:, 2:]
    narrow = nn.Linear(10, 4)
    torch.testing.assert_close(form_of(narrow)(of_part), narrow(of_part), atol=1e-5, rtol=1e-5)


def test_another_gelu_stays_by_itself() -> None:
    assert len(chained([nn.Linear(2, 2), nn.GELU(approximate="tanh")])) == 2
    assert len(chained([nn.Linear(2, 2), nn.GELU(), nn.GELU()])) == 2
    assert isinstance(form_of(nn.Linear(2, 2)), Projection)


@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_filters_that_meet_each_pixel_once_are_a_product(bias: bool) -> None:
    conv = nn.Conv3d(3, 8, (2, 4, 5), stride=(2, 4, 5), bias=bias)
    form, x = form_of(conv), torch.randn(2, 3, 5, 9, 14)
    assert isinstance(form, Patches)
    torch.testing.assert_close(form(x), conv(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv3d(4, 4, 2, stride=1),
        nn.Conv3d(4, 4, 1),
        nn.Conv3d(4, 4, 2, stride=2, padding=1),
        nn.Conv3d(4, 4, 2, stride=2, groups=2),
        nn.Conv3d(4, 4, 2, stride=2, dilation=2),
    ],
)
def test_other_filters_stay(conv: nn.Conv3d) -> None:
    assert form_of(conv) is conv
