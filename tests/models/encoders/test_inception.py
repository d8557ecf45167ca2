"""Inception networks give what their papers' tables say, from weights under their published names.

The references below are written in plain functions of torch over a state dict of pretrainedmodels'
or torchvision's names; they share nothing with the encoders but these names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from marey.engine.weights.imagenet import official_for
from marey.errors import CheckpointError
from marey.models import (
    TAM,
    TSM,
    BNInceptionSpec,
    GoogLeNetSpec,
    GroupContext,
    Head,
    I3DInceptionSpec,
    InceptionV3Spec,
    ModelSpec,
    NonLocal,
    S3DSpec,
    TemporalPool,
)
from marey.models.encoder import Encoder
from marey.models.encoders.bninception import ours as bn_name
from marey.models.encoders.inception import InceptionNetwork, InceptionSpec
from marey.models.encoders.inception_v3 import ours as v3_name
from marey.models.profile import num_parameters
from marey.models.shapes import shapes_only

Run = Callable[["Weights", Tensor], Tensor]


class Weights(dict[str, Tensor]):
    """A state dict that draws each tensor when it is first asked for, under its published name."""

    generator = torch.Generator().manual_seed(0)

    def drawn(self, name: str, *shape: int) -> Tensor:
        if name not in self:
            fan = math.prod(shape[1:]) or 1
            self[name] = (
                torch.randn(shape, generator=self.generator, dtype=torch.float64) * (2 / fan) ** 0.5
            )
        assert self[name].shape == shape, name
        return self[name]

    def norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        channels = x.shape[1]
        for leaf, low in (("weight", 0.8), ("bias", -0.1), ("running_mean", -0.1)):
            drawn = torch.rand(channels, generator=self.generator, dtype=torch.float64) * 0.4 + low
            self.setdefault(f"{name}.{leaf}", drawn)
        self.setdefault(f"{name}.running_var", torch.full((channels,), 0.7, dtype=torch.float64))
        self.setdefault(f"{name}.num_batches_tracked", torch.tensor(1))
        mean, var = self[f"{name}.running_mean"], self[f"{name}.running_var"]
        return F.batch_norm(
            x, mean, var, self[f"{name}.weight"], self[f"{name}.bias"], training=False, eps=eps
        )


# --- BN-Inception, under pretrainedmodels' names -------------------------------------------------

BN_TABLE = """
3a  64   64  64   64  96   avg 32
3b  64   64  96   64  96   avg 64
3c   -  128 160   64  96   max -
4a 224   64  96   96 128   avg 128
4b 192   96 128   96 128   avg 128
4c 160  128 160  128 160   avg 128
4d  96  128 192  160 192   avg 128
4e   -  128 192  192 256   max -
5a 352  192 320  160 224   avg 128
5b 352  192 320  192 224   max 128
"""
"""Table 5 of arXiv 1502.03167 as the released network has it: 1x1, 3x3 and double 3x3, each with
what comes before it, and pooling; a block without 1x1 filters has stride 2."""


def bninception(w: Weights, x: Tensor, before: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
    def conv(x: Tensor, name: str, out: int, kernel: int = 1, stride: int = 1) -> Tensor:
        weight = w.drawn(f"{name}.weight", out, x.shape[1], kernel, kernel)
        x = F.conv2d(x, weight, w.drawn(f"{name}.bias", out), stride, kernel // 2)
        return F.relu(w.norm(x, f"{name}_bn", 1e-5))

    x = conv(x, "conv1_7x7_s2", 64, 7, 2)
    x = before(F.max_pool2d(x, 3, 2, ceil_mode=True))
    x = conv(conv(x, "conv2_3x3_reduce", 64), "conv2_3x3", 192, 3)
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    for line in BN_TABLE.strip().splitlines():
        block, one, *middle, pool, project = line.split()
        three_in, three, double_in, double = map(int, middle)
        at, stride, x = f"inception_{block}", 2 if one == "-" else 1, before(x)
        parts = [] if one == "-" else [conv(x, f"{at}_1x1", int(one))]
        parts.append(conv(conv(x, f"{at}_3x3_reduce", three_in), f"{at}_3x3", three, 3, stride))
        y = conv(x, f"{at}_double_3x3_reduce", double_in)
        y = conv(y, f"{at}_double_3x3_1", double, 3)
        parts.append(conv(y, f"{at}_double_3x3_2", double, 3, stride))
        if project == "-":
            parts.append(F.max_pool2d(x, 3, 2, ceil_mode=True))
        else:
            pooled = F.max_pool2d(x, 3, 1, 1) if pool == "max" else F.avg_pool2d(x, 3, 1, 1)
            parts.append(conv(pooled, f"{at}_pool_proj", int(project)))
        x = torch.cat(parts, dim=1)
    return x.mean(dim=(2, 3))


# --- GoogLeNet and Inception v3, under torchvision's names ----------------------------------------

GOOGLENET_TABLE = """
3a  64   96 128   16  32   32
3b 128  128 192   32  96   64
4a 192   96 208   16  48   64
4b 160  112 224   24  64   64
4c 128  128 256   24  64   64
4d 112  144 288   32  64   64
4e 256  160 320   32 128  128
5a 256  160 320   32 128  128
5b 384  192 384   48 128  128
"""
"""Table 1 of arXiv 1409.4842."""


def basic(
    w: Weights,
    x: Tensor,
    name: str,
    out: int,
    kernel: int | tuple[int, int] = 1,
    stride: int = 1,
    padding: int | tuple[int, int] | None = None,
) -> Tensor:
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    if padding is None:
        padding = (height // 2, width // 2)
    weight = w.drawn(f"{name}.conv.weight", out, x.shape[1], height, width)
    return F.relu(w.norm(F.conv2d(x, weight, None, stride, padding), f"{name}.bn", 1e-3))


def googlenet(w: Weights, x: Tensor) -> Tensor:
    conv = partial(basic, w)
    pool = partial(F.max_pool2d, stride=2, ceil_mode=True)
    x = pool(conv(x, "conv1", 64, 7, 2), 3)
    x = pool(conv(conv(x, "conv2", 64), "conv3", 192, 3), 3)
    for line in GOOGLENET_TABLE.strip().splitlines():
        block, *numbers = line.split()
        one, three_in, three, five_in, five, project = map(int, numbers)
        if block in ("4a", "5a"):
            x = pool(x, 3 if block == "4a" else 2)
        at = f"inception{block}.branch"
        two = conv(conv(x, f"{at}2.0", three_in), f"{at}2.1", three, 3)
        third = conv(conv(x, f"{at}3.0", five_in), f"{at}3.1", five, 3)
        last = conv(F.max_pool2d(x, 3, 1, 1), f"{at}4.1", project)
        x = torch.cat([conv(x, f"{at}1", one), two, third, last], dim=1)
    return x.mean(dim=(2, 3))


def inception_v3(w: Weights, x: Tensor) -> Tensor:
    conv = partial(basic, w)

    def chain(x: Tensor, name: str, *layers: tuple[int, int | tuple[int, int]]) -> Tensor:
        for number, (out, kernel) in enumerate(layers, start=1):
            x = conv(x, f"{name}_{number}", out, kernel)
        return x

    x = conv(x, "Conv2d_1a_3x3", 32, 3, 2, 0)
    x = conv(conv(x, "Conv2d_2a_3x3", 32, 3, 1, 0), "Conv2d_2b_3x3", 64, 3)
    x = F.max_pool2d(x, 3, 2)
    x = conv(conv(x, "Conv2d_3b_1x1", 80), "Conv2d_4a_3x3", 192, 3, 1, 0)
    x = F.max_pool2d(x, 3, 2)
    high, wide = (7, 1), (1, 7)
    for block, project in (("5b", 32), ("5c", 64), ("5d", 64)):
        at = f"Mixed_{block}.branch"
        five = chain(x, f"{at}5x5", (48, 1), (64, 5))
        double = chain(x, f"{at}3x3dbl", (64, 1), (96, 3), (96, 3))
        pooled = conv(F.avg_pool2d(x, 3, 1, 1), f"{at}_pool", project)
        x = torch.cat([conv(x, f"{at}1x1", 64), five, double, pooled], dim=1)
    at = "Mixed_6a.branch"
    double = conv(chain(x, f"{at}3x3dbl", (64, 1), (96, 3)), f"{at}3x3dbl_3", 96, 3, 2, 0)
    x = torch.cat([conv(x, f"{at}3x3", 384, 3, 2, 0), double, F.max_pool2d(x, 3, 2)], dim=1)
    for block, c in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        at = f"Mixed_{block}.branch"
        seven = chain(x, f"{at}7x7", (c, 1), (c, wide), (192, high))
        double = chain(x, f"{at}7x7dbl", (c, 1), (c, high), (c, wide), (c, high), (192, wide))
        pooled = conv(F.avg_pool2d(x, 3, 1, 1), f"{at}_pool", 192)
        x = torch.cat([conv(x, f"{at}1x1", 192), seven, double, pooled], dim=1)
    at = "Mixed_7a.branch"
    three = conv(chain(x, f"{at}3x3", (192, 1)), f"{at}3x3_2", 320, 3, 2, 0)
    seven = chain(x, f"{at}7x7x3", (192, 1), (192, wide), (192, high))
    seven = conv(seven, f"{at}7x7x3_4", 192, 3, 2, 0)
    x = torch.cat([three, seven, F.max_pool2d(x, 3, 2)], dim=1)
    for block in ("7b", "7c"):
        at = f"Mixed_{block}.branch"
        three = chain(x, f"{at}3x3", (384, 1))
        double = chain(x, f"{at}3x3dbl", (448, 1), (384, 3))
        forks = [
            conv(y, f"{at}{name}{fork}", 384, kernel)
            for y, name in ((three, "3x3_2"), (double, "3x3dbl_3"))
            for fork, kernel in (("a", (1, 3)), ("b", (3, 1)))
        ]
        pooled = conv(F.avg_pool2d(x, 3, 1, 1), f"{at}_pool", 192)
        x = torch.cat([conv(x, f"{at}1x1", 320), *forks, pooled], dim=1)
    return x.mean(dim=(2, 3))


NETWORKS: dict[str, tuple[Encoder, Run, int]] = {
    "BN-Inception": (BNInceptionSpec(), bninception, 33),
    "GoogLeNet": (GoogLeNetSpec(), googlenet, 33),
    "Inception v3": (InceptionV3Spec(), inception_v3, 75),
}


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_published_weights_give_what_the_tables_say(name: str) -> None:
    encoder, reference, size = NETWORKS[name]
    weights, clip = Weights(), torch.randn(1, 2, 3, size, size, dtype=torch.float64)
    expected = reference(weights, clip[0])
    classifier = {"fc.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}
    aside = {"aux1.fc1.bias": torch.zeros(1), "AuxLogits.fc.bias": torch.zeros(1)}
    model = ModelSpec(encoder, num_segments=2).build().double().eval()
    given = dict(weights) | classifier | (aside if name != "BN-Inception" else {})
    if name != "BN-Inception":
        given.pop("AuxLogits.fc.bias" if name == "GoogLeNet" else "aux1.fc1.bias")
    model.load_encoder(given)
    torch.testing.assert_close(model.encoder(clip)[0], expected, rtol=1e-8, atol=1e-8)


# Parameters less their classifier: pytorchcv's table, and the documentation of torchvision (less
# the auxiliary classifiers that it counts in Inception v3).
@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [
        (BNInceptionSpec(), 11_295_240 - 1_025_000),
        (GoogLeNetSpec(), 6_624_904 - 1_025_000),
        (InceptionV3Spec(), 27_161_264 - 3_326_696 - 2_049_000),
    ],
    ids=repr,
)
def test_the_number_of_parameters_is_the_published_one(encoder: Encoder, parameters: int) -> None:
    with shapes_only():
        assert num_parameters(encoder.build((), 8)) == parameters


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv1_7x7_s2.weight", "conv1.conv.weight"),
        ("conv1_7x7_s2_bn.running_var", "conv1.bn.running_var"),
        ("conv2_3x3_reduce.bias", "conv2.conv3x3_reduce.conv.bias"),
        ("conv2_3x3_bn.bias", "conv2.conv3x3.bn.bias"),
        ("inception_3a_1x1.weight", "inception_3a.conv1x1.conv.weight"),
        ("inception_3c_3x3_bn.weight", "inception_3c.conv3x3.conv.bn.weight"),
        ("inception_4e_double_3x3_2.weight", "inception_4e.double_3x3.2.conv.weight"),
        ("inception_5b_pool_proj_bn.weight", "inception_5b.pool.proj.bn.weight"),
        ("last_linear.weight", None),
        ("fc.bias", None),
    ],
)
def test_names_of_pretrainedmodels(theirs: str, ours: str | None) -> None:
    assert bn_name(theirs) == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Conv2d_1a_3x3.conv.weight", "Conv2d_1a_3x3.conv.weight"),
        ("Mixed_5b.branch5x5_2.bn.bias", "Mixed_5b.branch5x5.1.bn.bias"),
        ("Mixed_6a.branch3x3.conv.weight", "Mixed_6a.branch3x3.conv.weight"),
        ("Mixed_7c.branch3x3dbl_3b.conv.weight", "Mixed_7c.branch3x3dbl.2.b.conv.weight"),
        ("Mixed_6e.branch_pool.conv.weight", "Mixed_6e.branch_pool.proj.conv.weight"),
        ("AuxLogits.conv0.conv.weight", None),
    ],
)
def test_names_of_torchvisions_inception_v3(theirs: str, ours: str | None) -> None:
    assert v3_name(theirs) == ours


SMALL = BNInceptionSpec(channels=8)


@pytest.mark.parametrize(("size", "left"), [(224, 7), (240, 8), (48, 2)])
def test_maps_of_odd_size_are_halved_alike_in_all_branches(size: int, left: int) -> None:
    with torch.device("meta"):
        model = SMALL.build((), 1)
        assert model.tokens(torch.empty(1, 1, 3, size, size)).shape == (1, 1, left**2, 128)


def test_norms_of_before_pytorch_0_2_lose_their_first_axis() -> None:
    weights, clip = Weights(), torch.randn(1, 3, 33, 33, dtype=torch.float64)
    bninception(weights, clip)
    weights["inception_3a_1x1_bn.weight"] = weights["inception_3a_1x1_bn.weight"][None]
    model = ModelSpec(BNInceptionSpec(), num_segments=1).build().double()
    model.load_encoder(weights)
    weights.pop("inception_3a_1x1.weight")
    with pytest.raises(CheckpointError, match=r"1 missing: inception_3a\.conv1x1\.conv\.weight"):
        model.load_encoder(weights)


def test_flow_takes_the_mean_over_rgb_for_each_channel() -> None:
    weights = Weights()
    bninception(weights, torch.randn(1, 3, 33, 33, dtype=torch.float64))
    model = ModelSpec(BNInceptionSpec(in_channels=10), num_segments=1).build().double()
    model.load_encoder(weights)
    mean = weights["conv1_7x7_s2.weight"].mean(dim=1, keepdim=True)
    assert torch.equal(model.encoder.conv1.conv.weight, mean.expand(-1, 10, -1, -1))


@torch.no_grad()
def test_a_shift_stands_in_front_of_eleven_blocks_as_upstream() -> None:
    """temporal-shift-module's mask of twelve: all but the picture's convolution."""

    def shifted(x: Tensor) -> Tensor:
        clip, out = x.view(-1, 3, *x.shape[1:]), torch.zeros_like(x).view(-1, 3, *x.shape[1:])
        fold = x.shape[1] // 8
        out[:, :-1, :fold] = clip[:, 1:, :fold]
        out[:, 1:, fold : 2 * fold] = clip[:, :-1, fold : 2 * fold]
        out[:, :, 2 * fold :] = clip[:, :, 2 * fold :]
        return out.flatten(0, 1)

    weights, clip = Weights(), torch.randn(2, 3, 3, 33, 33, dtype=torch.float64)
    expected = bninception(weights, clip.flatten(0, 1), shifted)
    model = (
        ModelSpec(BNInceptionSpec(), (TSM(place="block_in"),), num_segments=3)
        .build()
        .double()
        .eval()
    )
    model.load_encoder(weights)
    features = model.encoder(clip).flatten(0, 1)
    torch.testing.assert_close(features, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("op", [TSM(), GroupContext(), TAM()], ids=repr)
def test_ops_on_the_residual_path_are_told_what_sites_there_are(op: TSM) -> None:
    with pytest.raises(ValueError, match=r"which (stem|InceptionBlock) \d of stage \d lacks"):
        SMALL.build((op,), 2)


def test_ops_around_blocks_see_the_frames_that_are_left() -> None:
    ops = (TSM(place="block_in"), TemporalPool(2), NonLocal(stages=(1,)), TAM(place="block_out"))
    with pytest.raises(ValueError, match="both want the site 'block_out'"):
        SMALL.build(ops, 4)
    model = GoogLeNetSpec(channels=8).build(ops[:-1], 4).eval()
    assert isinstance(model, InceptionNetwork)
    assert model(torch.randn(2, 4, 3, 32, 32)).shape == (2, 2, 128)
    assert model.tokens(torch.randn(2, 4, 3, 64, 64)).shape == (2, 2, 4, 128)
    assert [len(stage) for stage in model.blocks_by_stage()] == [3, 2, 5, 2]


def test_a_tam_stands_behind_the_twelve_parts_of_action_recognition_pytorch() -> None:
    with shapes_only():
        model = GoogLeNetSpec().build((TAM(place="block_out"),), 8)
    sites = [
        name.removesuffix(".block_out")
        for name, _ in model.named_modules()
        if name.endswith("block_out")
    ]
    blocks = [f"inception{line.split()[0]}" for line in GOOGLENET_TABLE.strip().splitlines()]
    assert sites == ["conv1", "conv2", "conv3", *blocks]


@pytest.mark.parametrize("spec", [SMALL, GoogLeNetSpec(channels=8), InceptionV3Spec(channels=8)])
def test_every_weight_learns(spec: Encoder) -> None:
    model = ModelSpec(spec, num_segments=2, heads=(Head("label", 3),)).build().train()
    size = 75 if isinstance(spec, InceptionV3Spec) else 64
    model(torch.randn(3, 2, 3, size, size))["label"].square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_where_they_start() -> None:
    assert official_for(GoogLeNetSpec()).file == "googlenet-1378be20.pth"
    assert official_for(InceptionV3Spec()).file == "inception_v3_google-0cc3c7bd.pth"
    assert official_for(BNInceptionSpec(in_channels=10)).file == "bn_inception-52deb4733.pth"
    with pytest.raises(CheckpointError, match="no official ImageNet weights"):
        official_for(SMALL)


@pytest.mark.parametrize(
    "spec",
    [
        BNInceptionSpec(channels=4),
        InceptionV3Spec(channels=4),
        GoogLeNetSpec(channels=4),
        I3DInceptionSpec(channels=4),
        S3DSpec(channels=4),
        S3DSpec(channels=4, temporal_stride=True),
        S3DSpec(channels=4, form="torchvision"),
    ],
    ids=lambda spec: type(spec).__name__,
)
def test_pictures_that_nothing_would_be_left_of_are_refused(spec: InceptionSpec) -> None:
    network, size = spec.build((), 13).eval(), spec.least_size
    assert spec.on_clips(13, size) == ""
    assert network(torch.rand(1, 13, 3, size, size)).isfinite().all()
    if size > 1:
        with pytest.raises(RuntimeError):
            network(torch.rand(1, 13, 3, size - 1, size - 1))
    with pytest.raises(ValueError, match=f"{size - 1} pixels?, expected at least {size}"):
        spec.on_clips(13, size - 1)
