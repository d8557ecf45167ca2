"""I3D, S3D and R(2+1)D are 3-D networks of torch: plain references over published names."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from marey.convert.torchvision_video import r2plus1d_name, s3d_name
from marey.engine.weights.imagenet import official_for
from marey.errors import CheckpointError
from marey.models import (
    TSM,
    GoogLeNetSpec,
    Head,
    I3DInceptionSpec,
    ModelSpec,
    NonLocal,
    R2Plus1DSpec,
    ResNetSpec,
    S3DResNetSpec,
    S3DSpec,
)
from marey.models.encoder import Encoder
from marey.models.encoders.googlenet_clips import FramePool
from marey.models.profile import num_parameters
from marey.models.shapes import shapes_only
from tests.models.encoders.test_inception import GOOGLENET_TABLE, Weights

Triple = tuple[int, int, int]


def conv3d(
    w: Weights,
    x: Tensor,
    name: str,
    out: int,
    kernel: Triple = (1, 1, 1),
    stride: Triple = (1, 1, 1),
    *,
    bias: bool = False,
    groups: int = 1,
) -> Tensor:
    weight = w.drawn(f"{name}.weight", out, x.shape[1] // groups, *kernel)
    offset = w.drawn(f"{name}.bias", out) if bias else None
    t, h, v = kernel
    return F.conv3d(x, weight, offset, stride, (t // 2, h // 2, v // 2), groups=groups)


def blocks(w: Weights, x: Tensor, at: str, numbers: list[int], one, wide) -> Tensor:  # type: ignore[no-untyped-def]
    """A block of `GOOGLENET_TABLE` on a clip; `one` and `wide` are its kinds of convolutions."""
    first, three_in, three, five_in, five, project = numbers
    pooled = F.max_pool3d(x, 3, 1, 1)
    return torch.cat(
        [
            one(x, f"{at}.branch1", first),
            wide(one(x, f"{at}.branch2.0", three_in), f"{at}.branch2.1", three),
            wide(one(x, f"{at}.branch3.0", five_in), f"{at}.branch3.1", five),
            one(pooled, f"{at}.branch4.1", project),
        ],
        dim=1,
    )


def arp(
    w: Weights, x: Tensor, *, separable: bool, stride: int, mean: bool = False, dw: bool = False
) -> Tensor:
    """action-recognition-pytorch's S3D or I3D, under its names: features [b t d]."""
    pool = F.avg_pool3d if mean else F.max_pool3d

    def layer(x: Tensor, name: str, out: int, kernel: Triple, by: Triple = (1, 1, 1)) -> Tensor:
        return F.relu(w.norm(conv3d(w, x, f"{name}.conv", out, kernel, by), f"{name}.bn", 1e-3))

    def wide(x: Tensor, name: str, out: int) -> Tensor:
        if not separable:
            return layer(x, name, out, (3, 3, 3))
        x, groups = layer(x, name, out, (1, 3, 3)), out if dw else 1
        x = conv3d(w, x, f"{name}.conv_t", out, (3, 1, 1), bias=True, groups=groups)
        return F.relu(w.norm(x, f"{name}.bn_t", 1e-3))

    one = partial(layer, kernel=(1, 1, 1))
    x = layer(x, "conv1", 64, (3 if separable else 7, 7, 7), (1, 2, 2))
    x = pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    x = wide(one(x, "conv2", 64), "conv3", 192)
    for line in GOOGLENET_TABLE.strip().splitlines():
        block, *numbers = line.split()
        if block == "5a" and separable:
            x = pool(x, 2, (stride, 2, 2))
        elif block.endswith("a"):
            x = pool(x, 3, (stride, 2, 2), 1)
        x = blocks(w, x, f"inception{block}", list(map(int, numbers)), one, wide)
    return x.mean(dim=(3, 4)).transpose(1, 2)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "spec",
    [
        S3DSpec(),
        S3DSpec(reduce="mean"),
        S3DSpec(depthwise=True),
        I3DInceptionSpec(),
        I3DInceptionSpec(reduce="mean"),
    ],
    ids=repr,
)
@torch.no_grad()
def test_arps_networks(spec: S3DSpec | I3DInceptionSpec, stride: int) -> None:
    weights, clip = Weights(), torch.randn(1, 3, 9, 33, 33, dtype=torch.float64)
    separable, mean = isinstance(spec, S3DSpec), spec.reduce == "mean"
    depthwise = isinstance(spec, S3DSpec) and spec.depthwise
    expected = arp(weights, clip, separable=separable, stride=stride, mean=mean, dw=depthwise)
    model = replace(spec, temporal_stride=stride == 2).build((), 9).double().eval()
    own = model.state_dict()
    assert set(own) == set(weights)
    model.load_state_dict({name: w.reshape(own[name].shape) for name, w in weights.items()})
    features = model(clip.transpose(1, 2))
    torch.testing.assert_close(features, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_mean_counts_the_zeros_around_a_clip_of_any_length(frames: int) -> None:
    x = torch.randn(2 * frames, 3, 7, 7)
    pooled = FramePool(frames, (3, 3, 3), (2, 2, 2), (1, 1, 1), "mean")(x)
    clips = F.pad(x.unflatten(0, (2, frames)).transpose(1, 2), (1, 1, 1, 1, 1, 1))
    corner = clips[:, :, :3, :3, :3].sum(dim=(2, 3, 4)) / 27
    first = pooled.unflatten(0, (2, -1))[:, 0, :, 0, 0]
    torch.testing.assert_close(first, corner)
    assert pooled.shape == (2 * -(-frames // 2), 3, 4, 4)


TORCHVISIONS_S3D = dict(
    zip(
        (line.split()[0] for line in GOOGLENET_TABLE.strip().splitlines()),
        (5, 6, 8, 9, 10, 11, 12, 14, 15),
        strict=True,
    )
)
"""Block -> its number among the features."""


def torchvisions_s3d(w: Weights, x: Tensor) -> Tensor:
    """Features [b d] in front of its 1x1x1 classifier, which is linear, averaged over time."""

    def layer(x: Tensor, name: str, out: int, kernel: Triple, by: Triple = (1, 1, 1)) -> Tensor:
        return F.relu(w.norm(conv3d(w, x, f"{name}.0", out, kernel, by), f"{name}.1", 1e-3))

    def wide(x: Tensor, name: str, out: int, k: int = 3, s: int = 1) -> Tensor:
        x = layer(x, f"{name}.0", out, (1, k, k), (1, s, s))
        return layer(x, f"{name}.1", out, (k, 1, 1), (s, 1, 1))

    def branch(x: Tensor, name: str, out: int, *, kind) -> Tensor:  # type: ignore[no-untyped-def]
        stem, number, *rest = name.rpartition("branch")[2].partition(".")
        at = name.rpartition("branch")[0]
        return kind(x, f"{at}branch{int(stem) - 1}{number}{''.join(rest)}", out)

    one = partial(layer, kernel=(1, 1, 1))
    x = F.max_pool3d(wide(x, "features.0", 64, 7, 2), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    x = wide(one(x, "features.2", 64), "features.3", 192)
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for line in GOOGLENET_TABLE.strip().splitlines():
        block, *numbers = line.split()
        x = F.max_pool3d(x, 3, 2, 1) if block == "4a" else x
        x = F.max_pool3d(x, 2, 2) if block == "5a" else x
        at = f"features.{TORCHVISIONS_S3D[block]}"
        kinds = partial(branch, kind=one), partial(branch, kind=wide)
        x = blocks(w, x, at, list(map(int, numbers)), *kinds)
    return F.avg_pool3d(x, (2, *x.shape[3:]), 1).mean(dim=(2, 3, 4))


@torch.no_grad()
def test_torchvisions_s3d() -> None:
    weights, clip = Weights(), torch.randn(1, 3, 18, 33, 33, dtype=torch.float64)
    expected = torchvisions_s3d(weights, clip)
    model = S3DSpec(form="torchvision").build((), 18).double().eval()
    own = model.state_dict()
    named = {s3d_name(name): w for name, w in weights.items()}
    assert set(named) == set(own)
    model.load_state_dict({name: w.reshape(own[name].shape) for name, w in named.items()})
    features = model(clip.transpose(1, 2)).mean(dim=1)
    torch.testing.assert_close(features, expected, rtol=1e-8, atol=1e-8)


def torchvisions_r2plus1d(w: Weights, x: Tensor) -> Tensor:
    """Features [b t d] of its r2plus1d_18 in front of the pooling."""

    def pair(x: Tensor, name: str, middle: int, out: int, s: int = 1) -> Tensor:
        x = conv3d(w, x, f"{name}.0.0", middle, (1, 3, 3), (1, s, s))
        x = F.relu(w.norm(x, f"{name}.0.1", 1e-5))
        x = conv3d(w, x, f"{name}.0.3", out, (3, 1, 1), (s, 1, 1))
        return w.norm(x, f"{name}.1", 1e-5)

    x = F.relu(w.norm(conv3d(w, x, "stem.0", 45, (1, 7, 7), (1, 2, 2)), "stem.1", 1e-5))
    x = F.relu(w.norm(conv3d(w, x, "stem.3", 64, (3, 1, 1)), "stem.4", 1e-5))
    for stage, planes in enumerate((64, 128, 256, 512)):
        for block in range(2):
            at, s, into = f"layer{stage + 1}.{block}", 1 + (stage > 0 and block == 0), x.shape[1]
            middle = (into * planes * 27) // (into * 9 + 3 * planes)
            y = F.relu(pair(x, f"{at}.conv1", middle, planes, s))
            y = pair(y, f"{at}.conv2", middle, planes)
            if s == 2:
                x = conv3d(w, x, f"{at}.downsample.0", planes, (1, 1, 1), (2, 2, 2))
                x = w.norm(x, f"{at}.downsample.1", 1e-5)
            x = F.relu(x + y)
    return x.mean(dim=(3, 4)).transpose(1, 2)


@pytest.mark.parametrize("frames", [5, 16])
@torch.no_grad()
def test_torchvisions_r2plus1d(frames: int) -> None:
    weights, clip = Weights(), torch.randn(1, 3, frames, 32, 32, dtype=torch.float64)
    expected = torchvisions_r2plus1d(weights, clip)
    model = R2Plus1DSpec().build((), frames).double().eval()
    own = model.state_dict()
    named = {r2plus1d_name(name): w for name, w in weights.items()}
    assert set(named) == set(own)
    model.load_state_dict({name: w.reshape(own[name].shape) for name, w in named.items()})
    features = model(clip.transpose(1, 2))
    torch.testing.assert_close(features, expected, rtol=1e-8, atol=1e-8)


def s3d_resnet(w: Weights, x: Tensor, *, stride: int, dw: bool = False) -> Tensor:
    """action-recognition-pytorch's S3D-ResNet-50, under its names: features [b t d]."""

    def layer(x: Tensor, name: str, out: int, kernel: Triple, by: Triple = (1, 1, 1)) -> Tensor:
        groups = out if dw and name.endswith("_t") else 1
        x = conv3d(w, x, name, out, kernel, by, groups=groups)
        return w.norm(x, name.replace("conv", "bn"), 1e-5)

    x = F.relu(layer(x, "conv1", 64, (3, 7, 7), (1, 2, 2)))
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage, depth in enumerate((3, 4, 6, 3)):
        mid = 64 * 2**stage
        for block in range(depth):
            at, first = f"layer{stage + 1}.{block}", block == 0
            t, s = (stride, 2) if first and stage else (1, 1)
            y = F.relu(layer(x, f"{at}.conv1", mid, (1, 1, 1)))
            y = F.relu(layer(y, f"{at}.conv2", mid, (1, 3, 3), (1, s, s)))
            y = F.relu(layer(y, f"{at}.conv2_t", mid, (3, 1, 1), (t, 1, 1)))
            y = layer(y, f"{at}.conv3", 4 * mid, (1, 1, 1))
            if first:
                x = conv3d(w, x, f"{at}.downsample.0", 4 * mid, (1, 1, 1), (t, s, s))
                x = w.norm(x, f"{at}.downsample.1", 1e-5)
            x = F.relu(x + y)
    return x.mean(dim=(3, 4)).transpose(1, 2)


@pytest.mark.parametrize(("stride", "depthwise"), [(1, False), (2, False), (2, True)])
@torch.no_grad()
def test_arps_s3d_resnet(stride: int, depthwise: bool) -> None:
    weights, clip = Weights(), torch.randn(1, 3, 5, 32, 32, dtype=torch.float64)
    expected = s3d_resnet(weights, clip, stride=stride, dw=depthwise)
    spec = S3DResNetSpec(50, temporal_stride=stride == 2, depthwise=depthwise)
    model = spec.build((), 5).double().eval()
    own = model.state_dict()
    assert set(own) == set(weights)
    model.load_state_dict({name: w.reshape(own[name].shape) for name, w in weights.items()})
    features = model(clip.transpose(1, 2))
    torch.testing.assert_close(features, expected, rtol=1e-8, atol=1e-8)


# Parameters less their classifier, of torchvision's documentation.
@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [
        (S3DSpec(form="torchvision"), 8_320_048 - 410_000),
        (R2Plus1DSpec(), 31_505_325 - 205_200),
    ],
    ids=repr,
)
def test_the_number_of_parameters_is_torchvisions(encoder: Encoder, parameters: int) -> None:
    with shapes_only():
        assert num_parameters(encoder.build((), 16)) == parameters


@pytest.mark.parametrize(
    ("spec", "pictures"),
    [
        (S3DSpec(channels=8, inflation="repeated"), GoogLeNetSpec(channels=8)),
        (I3DInceptionSpec(channels=8, inflation="repeated"), GoogLeNetSpec(channels=8)),
        (S3DResNetSpec(26, channels=8, inflation="repeated"), ResNetSpec(26, channels=8)),
    ],
    ids=repr,
)
def test_they_start_from_pictures_and_what_looks_along_time_is_new(
    spec: Encoder, pictures: Encoder
) -> None:
    weights = pictures.build((), 1).state_dict()
    model = ModelSpec(spec, num_segments=4).build()
    before = {name: weight.clone() for name, weight in model.encoder.state_dict().items()}
    model.load_encoder(weights)
    for name, weight in model.encoder.state_dict().items():
        if "_t." in name:
            assert torch.equal(weight, before[name])
        elif weight.ndim == 5:
            assert all(torch.equal(weight[:, :, t], weights[name]) for t in range(weight.shape[2]))
        else:
            assert torch.equal(weight, weights[name])


def test_where_they_start() -> None:
    assert official_for(S3DSpec()).name == official_for(I3DInceptionSpec()).name == "googlenet"
    assert official_for(S3DResNetSpec(50)).name == "resnet50"
    with pytest.raises(CheckpointError, match="no official ImageNet weights for R2Plus1DSpec"):
        official_for(R2Plus1DSpec())


@pytest.mark.parametrize(
    ("spec", "frames", "enough"),
    [
        (S3DSpec(form="torchvision"), 12, 13),
        (S3DSpec(), 1, 2),
        (S3DSpec(temporal_stride=True), 4, 5),
    ],
    ids=repr,
)
def test_too_few_frames_are_an_error(spec: S3DSpec, frames: int, enough: int) -> None:
    with pytest.raises(ValueError, match=f"num_segments is {frames}, expected at least {enough}"):
        spec.build((), frames)


def test_what_goes_together() -> None:
    with pytest.raises(ValueError, match="form 'torchvision' strides in time as it is"):
        S3DSpec(form="torchvision", temporal_stride=True)
    with pytest.raises(ValueError, match="depth is 50, expected 18 or 34"):
        R2Plus1DSpec(50)
    with pytest.raises(ValueError, match="depthwise is true, but R.*hint: S3DResNetSpec"):
        R2Plus1DSpec(depthwise=True)
    with pytest.raises(ValueError, match="'residual_in', which R2Plus1DBlock 0 of stage 1 lacks"):
        R2Plus1DSpec().build((TSM(),), 8)


@pytest.mark.parametrize(
    "spec",
    [
        S3DSpec(channels=8),
        S3DSpec(channels=8, form="torchvision"),
        I3DInceptionSpec(channels=8),
        R2Plus1DSpec(channels=8),
        S3DResNetSpec(26, channels=8, temporal_stride=True),
        S3DSpec(channels=8, reduce="mean", depthwise=True),
        S3DResNetSpec(18, channels=8, depthwise=True),
    ],
    ids=repr,
)
def test_every_weight_learns_with_ops_behind_blocks(spec: Encoder) -> None:
    ops = (NonLocal(stages=(1,)),)
    model = ModelSpec(spec, ops, num_segments=16, heads=(Head("label", 3),)).build().train()
    model(torch.randn(2, 16, 3, 64, 64))["label"].square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
