from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from marey.models import TSM, MobileNetV2Spec, ModelSpec, NonLocal, ResNetSpec, TemporalPool
from marey.models.encoder import Encoder, EncoderModule
from marey.models.sites import SITES, Block, Site, TemporalOp, is_added, site_modules


class Watch(nn.Module):
    """Lets x through and remembers how it looked."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        return x


@dataclass(frozen=True)
class WatchAt(TemporalOp):
    site: Site

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        return {self.site: Watch(block)} if self.site in block.sites else {}


@dataclass(frozen=True)
class Everywhere(TemporalOp):
    site: Site

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        return {self.site: nn.Identity()}


HAS = [
    pytest.param(encoder, site, id=f"{kind}-{site}")
    for encoder in (ResNetSpec(18), ResNetSpec(50), MobileNetV2Spec())
    for kind in [encoder.blocks((), 1)[-1].kind]
    for site in SITES
    if site != "conv2" and any(site in block.sites for block in encoder.blocks((), 1))
]


def test_a_site_that_a_block_lacks_is_an_error_that_names_op_site_and_block() -> None:
    message = (
        r"Everywhere\(site='after_bn2'\) wants the site 'after_bn2', which BasicBlock 0 of "
        "stage 0 lacks; it has stage_in, block_in"
    )
    with pytest.raises(ValueError, match=message):
        ModelSpec(ResNetSpec(18), (Everywhere("after_bn2"),)).build()


def test_only_the_first_block_of_a_stage_has_stage_in() -> None:
    with pytest.raises(ValueError, match="which Bottleneck 1 of stage 0 lacks"):
        ModelSpec(ResNetSpec(50), (Everywhere("stage_in"),)).build()


def test_two_ops_on_one_site_are_an_error_that_names_both() -> None:
    ops = (TSM(place="block_out"), NonLocal())
    with pytest.raises(
        ValueError,
        match=r"TSM\(.*\) and NonLocal\(.*\) both want the site "
        "'block_out' of Bottleneck 0 of stage 1",
    ):
        ModelSpec(ResNetSpec(50), ops).build()


def test_an_op_without_any_place_is_an_error() -> None:
    with pytest.raises(
        ValueError,
        match=r"TemporalPool\(stage=4, .*\) finds no place in a "
        "network of Bottlenecks",
    ):
        ModelSpec(ResNetSpec(50), (TemporalPool(stage=4),)).build()


@pytest.mark.parametrize(("encoder", "site"), HAS)
def test_a_module_that_does_nothing_changes_nothing_and_adds_no_key(
    encoder: ResNetSpec | MobileNetV2Spec, site: Site
) -> None:
    blocks, plain = encoder.blocks((), 2), built(encoder)
    with torch.device("meta"):
        watched = encoder.build((WatchAt(site),), 2).eval()
    watched.load_state_dict(plain.state_dict(), assign=True)
    clip = torch.randn(1, 2, 3, 32, 32)
    assert torch.equal(watched(clip), plain(clip))
    watches = [m for m in watched.modules() if isinstance(m, Watch)]
    assert len(watches) == sum(site in block.sites for block in blocks)
    assert all(len(watch.shapes) == 1 for watch in watches)
    assert [w.shapes[0][1] for w in watches] == [w.block.channels_at(site) for w in watches]


@cache
def built(encoder: Encoder) -> EncoderModule:
    return encoder.build((), 2).eval()


@dataclass(frozen=True)
class Replace(TemporalOp):
    """Another middle convolution of the same shape."""

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        mid, stride = block.mid_channels, block.stride
        return {"conv2": nn.Conv2d(mid, mid, 5, stride, 2, groups=block.groups)}


@pytest.mark.parametrize("encoder", [ResNetSpec(50), MobileNetV2Spec()], ids=repr)
def test_the_conv2_site_replaces_the_convolution(encoder: Encoder) -> None:
    model = encoder.build((Replace(),), 1).eval()
    assert {m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d)} >= {(5, 5)}
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in model.modules()) <= 1
    assert model(torch.randn(2, 1, 3, 32, 32)).shape == (2, 1, model.num_features)


def test_print_shows_the_modules_in_the_order_in_which_they_run() -> None:
    ops = tuple(WatchAt(site) for site in SITES if site != "conv2")
    layer = ResNetSpec(50).build(ops, 2).get_submodule("layer1.0")
    assert [name for name, _ in layer.named_children()] == [
        *("stage_in", "block_in", "residual_in", "conv1", "bn1", "after_bn1", "relu"),
        *("after_relu1", "conv2", "after_conv2", "bn2", "after_bn2", "conv3", "bn3"),
        *("residual_out", "downsample", "block_out"),
    ]


@pytest.mark.parametrize(
    ("alternate", "depth", "counts"),
    [
        ("network", 50, [3, 4, 6, 3]),
        ("network", 101, [2, 2, 12, 2]),
        ("stage", 101, [3, 4, 12, 3]),
        ("none", 101, [3, 4, 23, 3]),
        ("stage", 152, [3, 8, 18, 3]),
    ],
)
def test_deep_networks_shift_in_every_second_block(
    alternate: str, depth: int, counts: list[int]
) -> None:
    op = TSM(alternate=alternate)  # type: ignore[arg-type]
    blocks = ResNetSpec(depth).blocks((op,), 8)
    sites = site_modules((op,), blocks)
    found = [block.stage for block, modules in zip(blocks, sites, strict=True) if modules]
    assert [found.count(stage) for stage in range(4)] == counts


def test_mobilenet_shifts_in_its_ten_blocks_with_a_shortcut() -> None:
    model = MobileNetV2Spec().build((TSM(),), 8)
    shifted = [name for name, _ in model.named_modules() if name.endswith("residual_in")]
    assert shifted == [
        f"features.{i}.residual_in" for i in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)
    ]  # the numbers of the released checkpoint's keys


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("layer1.0.conv2.weight", False),
        ("layer1.0.block_out.bn.weight", True),
        ("layer1.0.bn1.weight", False),
        ("layer1.0.after_bn2", True),
    ],
)
def test_names_tell_what_an_op_added(name: str, added: bool) -> None:
    assert is_added(name) is added
