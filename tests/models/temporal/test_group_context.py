from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from marey.longtail.decouple import set_trainable
from marey.models import GroupContext, MobileNetV2Spec, ModelSpec, ResNetSpec
from marey.models.encoder import Encoder, freeze_unused
from marey.models.sites import Block, site_modules
from marey.models.temporal.group_context import Calibrator, ChannelGroups

R50 = ResNetSpec(50).blocks((), 8)


def groups(op: GroupContext, block: Block) -> ChannelGroups:
    """The op's module in `block`, in evaluation mode, its weights not at their start."""
    (module,) = op.sites(block).values()
    assert isinstance(module, ChannelGroups)
    return stirred(module)


def stirred(module: ChannelGroups) -> ChannelGroups:
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = (
                torch.randn(tensor.shape, generator=generator) / max(1, tensor[0].numel()) ** 0.5
            )
            tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise)
    return module.eval().double()


def a_clip(frames: int = 8, channels: int = 64, batch: int = 1, size: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(frames + channels)
    shape = (batch * frames, channels, size, size)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def lone(gate: str, *, norm: bool = True) -> Calibrator:
    module = groups(GroupContext(gate, norm=norm), R50[0])[0]
    assert isinstance(module, Calibrator)
    return module


@given(
    st.sampled_from("LTSG"),
    st.booleans(),
    st.tuples(*(st.integers(1, n) for n in (3, 4, 4, 4))),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_gate_is_between_zero_and_one_at_any_size(
    gate: str, norm: bool, sizes: tuple[int, int, int, int], seed: int
) -> None:
    calibrator = lone(gate, norm=norm)
    batch, calibrator.num_frames, height, width = sizes
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(
        (batch, calibrator.num_frames, 16, height, width), generator=generator, dtype=torch.float64
    )
    found = calibrator.gate(clip)
    assert found.min() > 0
    assert found.max() < 1
    assert found.expand(clip.shape).shape == clip.shape
    assert torch.equal(calibrator(clip.flatten(0, 1)), (clip * found).flatten(0, 1))


@pytest.mark.parametrize("norm", [True, False])
def test_each_gate_is_the_papers_formula(norm: bool) -> None:
    clip = a_clip(8, 16, batch=3).unflatten(0, (3, 8))
    x = clip.transpose(1, 2)  # b c t h w

    def after_norm(y: Tensor, calibrator: Calibrator) -> Tensor:
        if not norm:
            return y
        w = calibrator.bn
        assert isinstance(w, nn.BatchNorm1d | nn.BatchNorm2d)
        return F.batch_norm(y, w.running_mean, w.running_var, w.weight, w.bias)

    weights = {gate: lone(gate, norm=norm) for gate in "LTSG"}
    w = {gate: module.conv.weight for gate, module in weights.items()}
    local = F.conv3d(x, w["L"][..., None], padding=(1, 0, 0))
    temporal = F.conv1d(x.mean((3, 4)), w["T"], padding=1)
    spatial = F.conv2d(x.mean(2), w["S"], padding=2, dilation=2)
    whole = F.linear(x.mean((2, 3, 4)), w["G"])
    wanted = {
        "L": after_norm(local, weights["L"]).sigmoid(),
        "T": after_norm(temporal, weights["T"]).sigmoid()[..., None, None],
        "S": spatial.sigmoid()[:, :, None],  # whose norm is never applied
        "G": after_norm(whole, weights["G"]).sigmoid()[..., None, None, None],
    }
    for gate, module in weights.items():
        torch.testing.assert_close(
            module.gate(clip).transpose(1, 2).expand_as(x), wanted[gate].expand_as(x)
        )


@pytest.mark.parametrize("gates", ["LTSG", "L", "T", "S", "G"])
def test_one_clip_never_moves_another(gates: str) -> None:
    module = groups(GroupContext(gates), R50[0])
    x = a_clip(batch=3)
    other = x.clone()
    other[8:16] += 1
    before, after = module(x).unflatten(0, (3, 8)), module(other).unflatten(0, (3, 8))
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[2], after[2])
    assert not torch.equal(before[1], after[1])


@pytest.mark.parametrize(
    ("gates", "is_blind"), [("G", True), ("S", True), ("T", False), ("L", False)]
)
def test_the_global_and_the_spatial_gate_are_blind_to_the_order_of_frames(
    gates: str, is_blind: bool
) -> None:
    module = groups(GroupContext(gates), R50[0])
    x = a_clip()
    assert torch.allclose(module(x.flip(0)).flip(0), module(x), rtol=1e-12) is is_blind


def test_groups_stand_in_the_order_ltsg_and_the_rest_passes() -> None:
    module = groups(GroupContext("GSTL", cdiv=8), R50[0])
    assert [type(c).__name__[0] for c in module] == ["L", "T", "S", "G"]
    x = a_clip()
    y = module(x)
    for i, calibrate in enumerate(module):
        at = slice(8 * i, 8 * i + 8)
        assert torch.equal(y[:, at], calibrate(x[:, at]))
    assert torch.equal(y[:, 32:], x[:, 32:])


def test_a_subset_of_gates_takes_the_first_groups() -> None:
    module = groups(GroupContext("SL"), R50[0])
    x = a_clip()
    y = module(x)
    assert [type(c).__name__[0] for c in module] == ["L", "S"]
    assert torch.equal(y[:, 32:], x[:, 32:])
    assert not torch.equal(y[:, 16:32], x[:, 16:32])


def test_fresh_gates_without_a_norm_halve_what_they_get() -> None:
    gate = (
        GroupContext("G", norm=False)
        .sites(R50[0])["after_bn2"][0]
        .gate(a_clip(channels=16).float()[None])
    )
    assert gate.mean().item() == pytest.approx(0.5, abs=1e-3)


def first_groups(op: GroupContext, encoder: Encoder) -> list[int | None]:
    assert isinstance(encoder, ResNetSpec)
    sites = site_modules((op,), encoder.blocks((op,), 8))
    modules = [next(iter(found.values()), None) for found in sites]
    return [m.first if isinstance(m, ChannelGroups) else None for m in modules]


def test_with_loop_the_groups_move_on_from_block_to_block_through_all_stages() -> None:
    with torch.device("meta"):
        found = first_groups(GroupContext(loop=True), ResNetSpec(50))
        assert found == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
        assert set(first_groups(GroupContext(), ResNetSpec(50))) == {0}


def test_a_stage_of_23_blocks_has_groups_in_every_second_and_only_those_count() -> None:
    with torch.device("meta"):
        found = first_groups(GroupContext(loop=True, cdiv=5), ResNetSpec(101))
        everywhere = first_groups(
            GroupContext(alternate="none", loop=True, cdiv=5), ResNetSpec(101)
        )
    placed = [first for first in found if first is not None]
    assert placed == [i % 5 for i in range(3 + 4 + 12 + 3)]
    assert [first is None for first in found[7:30]] == [i % 2 == 1 for i in range(23)]
    assert everywhere == [i % 5 for i in range(33)]


def test_left_over_channels_pass_where_upstream_zeroes_them() -> None:
    # cdiv 5 leaves 4 of 64 channels over; upstream loses them where the groups go round the end.
    ops = {v: GroupContext(cdiv=5, loop=True, variant=v) for v in ("repaired", "upstream")}
    x = a_clip()
    for block in R50[:3]:
        wraps = block.index == 2
        ours, theirs = (groups(op, block)(x) for op in ops.values())
        assert torch.equal(ours[:, 60:], x[:, 60:])
        assert torch.equal(theirs[:, 60:], 0 * x[:, 60:] if wraps else x[:, 60:])
        assert torch.equal(ours[:, :60], theirs[:, :60])


@pytest.mark.parametrize("gates", ["L", "T", "S", "G", "LTSG"])
def test_every_calibrator_learns(gates: str) -> None:
    (module,) = GroupContext(gates).sites(R50[0]).values()
    freeze_unused(module)
    x = a_clip(batch=2).float().requires_grad_()
    module(x).square().mean().backward()
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    assert x.grad is not None


def test_the_norm_of_s_is_carried_along_and_never_used() -> None:
    model = ModelSpec(
        ResNetSpec(18), (GroupContext("S", site="after_bn1"),), num_segments=4
    ).build()
    name = "encoder.layer1.0.after_bn1.0.bn"
    assert f"{name}.running_var" in model.state_dict()
    before = {k: v.clone() for k, v in model.state_dict().items() if k.startswith(name)}
    set_trainable(model, "heads")
    set_trainable(model, "all")
    model.train()(torch.randn(2, 4, 3, 32, 32))["label"].sum().backward()
    for key, value in before.items():
        assert torch.equal(model.state_dict()[key], value)
    learns = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert learns == []  # a gradient that never comes would stop distributed training


def test_training_the_global_gate_on_one_clip_is_an_error() -> None:
    (module,) = GroupContext("G").sites(R50[0]).values()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        module.train()(a_clip().float())


@pytest.mark.parametrize(
    ("encoder", "op"),
    [
        (ResNetSpec(50), GroupContext()),
        (ResNetSpec(50, groups=32, width_per_group=4), GroupContext(loop=True)),
        (ResNetSpec(18), GroupContext(site="after_bn1")),
        (ResNetSpec(34), GroupContext("TG", cdiv=3, site="block_out")),
        (MobileNetV2Spec(), GroupContext(loop=True)),
        (ResNetSpec(50), GroupContext(site=("after_bn2", "after_bn1", "after_bn1", "after_bn1"))),
    ],
    ids=repr,
)
def test_groups_work_in_any_residual_network(encoder: Encoder, op: GroupContext) -> None:
    with torch.device("meta"):
        model = ModelSpec(encoder, (op,), num_segments=4).build().eval()
        assert model(torch.empty(2, 4, 3, 64, 64))["label"].shape == (2, 400)


def test_channels_last_memory_stays_channels_last() -> None:
    x = a_clip().contiguous(memory_format=torch.channels_last)
    module = groups(GroupContext(), R50[0])
    assert module(x).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(module(x), module(x.contiguous()))


def test_print_shows_the_groups() -> None:
    text = repr(groups(GroupContext(cdiv=5, loop=True, variant="upstream"), R50[2]))
    assert "width=12, cdiv=5, first=2, zero_tail=True" in text
    assert "(0): LocalCalibrator(" in text
    assert "num_frames=8" in text


@pytest.mark.parametrize(
    ("op", "encoder", "message"),
    [
        (lambda: GroupContext(""), None, "gates is '', expected some of the letters L, T, S, G"),
        (lambda: GroupContext("LL"), None, "gates is 'LL', expected some"),
        (lambda: GroupContext("LX"), None, "gates is 'LX', expected some"),
        (lambda: GroupContext(site="conv2"), None, "site is 'conv2', where the groups would repl"),
        (lambda: GroupContext(site=("after_bn2", "conv2")), None, "site is 'conv2', where the"),
        (lambda: GroupContext(cdiv=3), None, "cdiv is 3, expected a group of channels for each"),
        (lambda: GroupContext(), ResNetSpec(18), "wants the site 'after_bn2', which BasicBlock 0"),
        (lambda: GroupContext(cdiv=65), ResNetSpec(50), "makes more groups than .* channels: 64"),
        (lambda: GroupContext(site=("after_bn1",)), ResNetSpec(50), "names 1 sites, expected one"),
    ],
)
def test_impossible_groups_are_an_error(op, encoder, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSpec(encoder, (op(),)).build()
