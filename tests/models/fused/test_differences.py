from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from marey.models import LongTermDifference, TDNSpec
from marey.models.fused import form_of, fused
from marey.models.fused.differences import fuse_into
from marey.models.temporal.tdn import DifferenceAttention
from tests.models.fused.lively import EXACT, clips, difference, enliven, lively


@pytest.mark.parametrize("size", [32, 50])
@pytest.mark.parametrize("fusion", [None, (0.4, 1.1)])
def test_tdn_at_any_size_and_weights(size: int, fusion: tuple[float, float] | None) -> None:
    spec = TDNSpec(18, channels=16, fusion=fusion)
    model = lively(spec, (LongTermDifference(reduction=4),), num_segments=2)
    clip = clips(model, size, batch=1)
    with torch.no_grad():
        assert difference(model(clip)["label"], fused(model)(clip)["label"]) < EXACT


def test_the_attention_alone_is_what_it_was() -> None:
    attention = enliven(DifferenceAttention(16, 3, reduction=4))
    x = torch.randn(6, 16, 5, 5)
    with torch.no_grad():
        expected = attention(x)
        assert difference(expected, form_of(attention)(x)) < EXACT


@pytest.mark.parametrize("sides", [(6, 8), (5, 7)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_picture_and_motion_are_added_cell_by_cell(
    sides: tuple[int, int], layout: torch.memory_format
) -> None:
    x = torch.randn(2, 3, *sides).contiguous(memory_format=layout)
    motion = torch.randn(2, 3, 3, 4).contiguous(memory_format=layout)
    expected = 0.75 * x + 0.25 * F.interpolate(motion, sides)
    torch.testing.assert_close(fuse_into(x, motion, (0.75, 0.25)), expected)
