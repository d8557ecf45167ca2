from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from marey.models import TSM, ModelSpec, NonLocal, ResNetSpec, TemporalPool
from marey.models.temporal.kernels import shift, shift_plainly
from marey.models.temporal.nonlocal_block import NonLocalBlock
from marey.models.temporal.temporal_pool import MaxPoolTime


def shift_by_loop(x: Tensor, num_frames: int, ahead: int, back: int) -> Tensor:
    out = torch.zeros_like(x)
    for n in range(x.shape[0]):
        t = n % num_frames
        for c in range(x.shape[1]):
            step = 1 if c < ahead else -1 if c < ahead + back else 0
            if 0 <= t + step < num_frames:
                out[n, c] = x[n + step, c]
    return out


@st.composite
def shifts(draw: st.DrawFn) -> tuple[Tensor, int, int, int]:
    batch, frames = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    ahead, back, rest = (draw(st.integers(0, 3)) for _ in range(3))
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    x = torch.randn(batch * frames, max(1, ahead + back + rest), height, width)
    if draw(st.booleans()):
        x = x.contiguous(memory_format=torch.channels_last)
    return x, frames, ahead, back


@given(shifts())
@settings(max_examples=60, deadline=None)
def test_the_shift_equals_a_plain_loop_exactly(case: tuple[Tensor, int, int, int]) -> None:
    assert torch.equal(shift(*case), shift_by_loop(*case))
    assert torch.equal(shift_plainly(*case), shift_by_loop(*case))


@given(shifts())
@settings(max_examples=30, deadline=None)
def test_the_shifts_backward_is_autograds_of_the_plain_form(
    case: tuple[Tensor, int, int, int],
) -> None:
    x, *arguments = case
    ours, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    gradient = torch.randn_like(x)
    shift(ours, *arguments).backward(gradient)
    shift_plainly(plain, *arguments).backward(gradient)
    assert ours.grad is not None
    assert plain.grad is not None
    assert torch.equal(ours.grad, plain.grad)


def test_the_shift_can_be_differentiated_twice() -> None:
    x = torch.randn(4, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: shift(x, 2, 1, 1) ** 2, x)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_shift_keeps_dtype_and_memory_layout(layout: torch.memory_format) -> None:
    x = torch.randn(4, 8, 3, 3, dtype=torch.bfloat16).contiguous(memory_format=layout)
    y = shift(x, 2, 1, 1)
    assert (y.dtype, y.stride()) == (x.dtype, x.stride())


def test_the_first_eighth_looks_ahead_and_the_second_back() -> None:
    x = torch.arange(1.0, 4.0).reshape(3, 1, 1, 1).expand(3, 16, 1, 1)  # frame t holds t + 1
    model = ResNetSpec(18).build((TSM(),), 3)
    shifted = model.get_submodule("layer1.0.residual_in")(x.repeat(1, 4, 1, 1))[:, :, 0, 0]
    assert shifted[:, 0].tolist() == [2, 3, 0]
    assert shifted[:, 8].tolist() == [0, 1, 2]
    assert shifted[:, 16].tolist() == [1, 2, 3]


def test_towards_the_past_a_frame_never_sees_a_later_one() -> None:
    spec = ModelSpec(ResNetSpec(18), (TSM(direction="past"),), num_segments=4)
    model = spec.build().eval()
    clip = torch.randn(1, 4, 3, 32, 32)
    other = clip.clone()
    other[:, 3] += 1
    before, after = model.features(clip), model.features(other)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3], after[:, 3])


def test_a_shift_div_that_leaves_no_channel_is_an_error() -> None:
    with pytest.raises(ValueError, match="shift_div is 1, expected 2 or more"):
        TSM(shift_div=1)


@pytest.mark.parametrize(("frames", "pooled"), [(1, 1), (2, 1), (5, 3), (8, 4)])
def test_temporal_pooling_takes_the_maximum_of_three_frames(frames: int, pooled: int) -> None:
    x = torch.randn(2 * frames, 3, 2, 2)
    y = MaxPoolTime(frames)(x).reshape(2, pooled, 3, 2, 2)
    clips = x.reshape(2, frames, 3, 2, 2)
    for t in range(pooled):
        window = clips[:, max(0, 2 * t - 1) : 2 * t + 2]
        assert torch.equal(y[:, t], window.amax(dim=1))


def test_after_temporal_pooling_ops_work_on_fewer_frames() -> None:
    model = ModelSpec(ResNetSpec(18), (TSM(), TemporalPool(stage=1)), num_segments=5).build()
    frames = {
        name: module.num_frames
        for name, module in model.named_modules()
        if name.endswith(("stage_in", "residual_in"))
    }
    assert frames["encoder.layer1.1.residual_in"] == 5
    assert frames["encoder.layer2.0.stage_in"] == 5
    assert frames["encoder.layer2.0.residual_in"] == 3
    assert model.features(torch.randn(2, 5, 3, 32, 32)).shape == (2, 3, 512)


def test_a_non_local_block_is_a_softmax_over_every_second_row_and_column() -> None:
    torch.manual_seed(0)
    block = NonLocalBlock(4, num_frames=3).double().eval()
    torch.nn.init.normal_(block.bn.weight)
    x = torch.randn(6, 4, 4, 4, dtype=torch.float64)
    theta, phi, g = block.theta(x), block.subsample(block.phi(x)), block.subsample(block.g(x))
    wanted = torch.empty_like(theta)
    for clip in range(2):
        rows = slice(3 * clip, 3 * clip + 3)
        query, key, value = (
            part[rows].permute(0, 2, 3, 1).reshape(-1, 2) for part in (theta, phi, g)
        )
        y = torch.softmax(query @ key.T, dim=-1) @ value
        wanted[rows] = y.reshape(3, 4, 4, 2).permute(0, 3, 1, 2)
    torch.testing.assert_close(block(x), x + block.bn(block.out(wanted)))


def test_a_new_non_local_block_changes_nothing() -> None:
    block = NonLocalBlock(8, num_frames=2)
    x = torch.randn(4, 8, 4, 4)
    assert torch.equal(block(x), x)


def test_resnet50_gets_five_non_local_blocks() -> None:
    with torch.device("meta"):
        model = ResNetSpec(50).build((NonLocal(),), 8)
    names = [name for name, m in model.named_modules() if isinstance(m, NonLocalBlock)]
    assert names == [f"layer{at}.block_out" for at in ("2.0", "2.2", "3.0", "3.2", "3.4")]


def test_a_stage_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="there are 4 stages, counted from 0"):
        ResNetSpec(50).build((NonLocal(stages=(1, 4)),), 8)
