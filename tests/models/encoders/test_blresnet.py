from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from marey.models import TSM, BLResNetSpec, NonLocal, TemporalPool
from marey.models.encoders.blresnet import BLResNet
from marey.models.profile import num_parameters


# Parameters of the release's models less their classifier of 1000 classes.
@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        (BLResNetSpec(50), 26_694_568 - 2_049_000),
        (BLResNetSpec(101), 41_851_560 - 2_049_000),
        (BLResNetSpec(152), 57_359_016 - 2_049_000),
    ],
    ids=str,
)
def test_the_number_of_parameters_is_the_releases(spec: BLResNetSpec, parameters: int) -> None:
    with torch.device("meta"):
        assert num_parameters(spec.build((), 1)) == parameters


@pytest.mark.parametrize(
    ("spec", "big", "little"),
    [
        (BLResNetSpec(50), [2, 3, 5], [1, 1, 1]),
        (BLResNetSpec(50, beta=2), [2, 3, 5], [1, 1, 2]),
        (BLResNetSpec(101), [3, 7, 17], [1, 1, 3]),
        (BLResNetSpec(101, beta=2), [3, 7, 17], [1, 3, 8]),
        (BLResNetSpec(152), [4, 11, 29], [1, 2, 6]),
        (BLResNetSpec(152, beta=2), [4, 11, 29], [1, 5, 14]),
    ],
    ids=str,
)
def test_branches_are_as_deep_as_published(
    spec: BLResNetSpec, big: list[int], little: list[int]
) -> None:
    rows = list(spec.rows())
    assert [row.num_blocks for row in rows if row.name == "big"] == big
    assert [row.num_blocks for row in rows if row.name == "little"] == little
    assert [row.num_blocks for row in rows if row.name in ("fusion", "")] == [1, 1, 1, 3]


@pytest.fixture(scope="module")
def net() -> BLResNet:
    torch.manual_seed(0)
    net = BLResNetSpec(50).build((), 2).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net


@pytest.mark.parametrize("size", [(32, 32), (33, 33), (65, 40), (96, 128), (1, 1)], ids=str)
@torch.no_grad()
def test_features_are_one_vector_a_frame_at_any_size(net: BLResNet, size: tuple[int, int]) -> None:
    assert net(torch.randn(1, 2, 3, *size)).shape == (1, 2, 2048)


@torch.no_grad()
def test_only_the_big_branch_ends_before_its_relu(net: BLResNet) -> None:
    seen: dict[str, Tensor] = {}
    names = ("layer1.big", "layer1.little", "layer1.fusion", "layer4")
    hooks = [
        net.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: seen.update({name: out.clone()})
        )
        for name in names
    ]
    net(torch.randn(1, 2, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    assert [name for name in names if (seen[name] < 0).any()] == ["layer1.big"]


def test_the_last_norm_of_every_block_starts_at_zero() -> None:
    net = BLResNetSpec(50).build((), 1)
    lasts = [p for name, p in net.named_parameters() if name.endswith("bn3.weight")]
    assert len(lasts) == 19
    assert not any(p.any() for p in lasts)


def test_names_are_the_releases() -> None:
    with torch.device("meta"):
        names = list(BLResNetSpec(50).build((), 1).state_dict())
    assert len(names) == 428 - 2  # less its classifier
    assert names[0] == "conv1.weight"
    assert {
        *("b_conv0.weight", "bn_l2.running_var", "bl_init.weight", "bn_bl_init.bias"),
        *("layer1.big.0.downsample.1.weight", "layer1.little.0.downsample.0.weight"),
        *("layer2.little_e.0.weight", "layer3.fusion.0.conv2.weight", "layer4.0.downsample.2.bias"),
    } <= set(names)
    assert "layer2.fusion.0.downsample.1.weight" not in names  # pooled only


def test_ops_find_every_block_of_every_branch() -> None:
    with torch.device("meta"):
        net = BLResNetSpec(50).build((TSM(),), 4)
    shifted = [n.removesuffix(".residual_in") for n, _ in net.named_modules() if "residual_in" in n]
    assert len(shifted) == 19
    assert {"layer1.big.0", "layer1.little.0", "layer1.fusion.0", "layer4.2"} <= set(shifted)


@torch.no_grad()
def test_time_is_pooled_before_both_branches() -> None:
    net = BLResNetSpec(50).build((TSM(), TemporalPool(stage=1), NonLocal(stages=(3,))), 5).eval()
    assert net(torch.randn(2, 5, 3, 33, 33)).shape == (2, 3, 2048)
    assert next(name for name, _ in net.layer2.named_children()) == "stage_in"


def test_a_little_branch_of_fewer_groups_has_wider_ones() -> None:
    spec = BLResNetSpec(50, groups=32, width_per_group=4)
    blocks = {(b.stage, b.index): b for b in spec.blocks((), 1)}
    big, little = blocks[0, 0], blocks[0, 2]
    assert (big.groups, big.mid_channels) == (32, 128)
    assert (little.groups, little.mid_channels) == (16, 64)
    with torch.device("meta"):
        assert num_parameters(spec.build((), 1)) < num_parameters(BLResNetSpec(50).build((), 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 34}, r"depth is 34, expected one of \(50, 101, 152\)"),
        ({"alpha": 5}, "alpha is 5, expected a divisor of 64"),
        ({"beta": 0}, "beta is 0, expected at least 1"),
        ({"groups": 3}, "groups is 3, expected a multiple of alpha, 2"),
    ],
)
def test_an_impossible_spec_is_an_error(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BLResNetSpec(**arguments)
