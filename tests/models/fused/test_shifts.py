from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.models.fused.shifts import shift_copy
from marey.models.temporal.kernels import shift


@given(
    clips=st.integers(1, 3),
    frames=st.integers(1, 4),
    parts=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)),
    sides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    layout=st.sampled_from((torch.contiguous_format, torch.channels_last)),
)
@settings(max_examples=60, deadline=None)
def test_copying_and_moving_is_shifting_exactly(
    clips: int,
    frames: int,
    parts: tuple[int, int, int],
    sides: tuple[int, int],
    layout: torch.memory_format,
) -> None:
    ahead, back, _ = parts
    x = torch.randn(clips * frames, sum(parts), *sides).contiguous(memory_format=layout)
    before = x.clone()
    assert torch.equal(shift_copy(x, frames, ahead, back), shift(x, frames, ahead, back))
    assert torch.equal(x, before)
