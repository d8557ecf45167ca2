from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.models.fused.shifts import RowShift, shift_rows
from marey.models.temporal.kernels import shift


@given(
    clips=st.integers(1, 3),
    frames=st.integers(1, 4),
    parts=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)),
    sides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
@settings(max_examples=60, deadline=None)
def test_shifting_rows_is_shifting_exactly(
    clips: int, frames: int, parts: tuple[int, int, int], sides: tuple[int, int]
) -> None:
    ahead, back, _ = parts
    x = torch.randn(clips * frames, sum(parts), *sides)
    x = x.contiguous(memory_format=torch.channels_last)
    before, expected = x.clone(), shift(x, frames, ahead, back)
    assert torch.equal(shift_rows(x, frames, ahead, back), expected)
    assert torch.equal(RowShift(frames, ahead, back)(x.contiguous()), expected)
    assert torch.equal(x, before)
