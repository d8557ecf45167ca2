"""Checkpoints of the Inception networks and of (2+1)-D ones score as plain torch says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from marey.convert.convert import convert
from marey.convert.repository import Settings
from marey.engine.weights.trained import load_trained
from marey.errors import CheckpointError
from marey.models import TSM, BNInceptionSpec, I3DInceptionSpec
from marey.recipes.catalog import rows
from tests.models.encoders.test_googlenet_clips import (
    arp,
    s3d_resnet,
    torchvisions_r2plus1d,
    torchvisions_s3d,
)
from tests.models.encoders.test_inception import Weights, bninception, googlenet

CLASSES = 5


def saved(tmp_path: Path, weights: Weights, head: str, prefix: str = "", name: str = "x") -> Path:
    """The checkpoint as its authors write it, in single precision."""
    path = tmp_path / f"{name}.pth"
    named = {f"{prefix}{key}": w for key, w in weights.items() if not key.startswith(head)}
    heads = {key: w for key, w in weights.items() if key.startswith(head)}
    torch.save(
        {key: w.float() if w.is_floating_point() else w for key, w in (named | heads).items()}, path
    )
    return path


def classified(weights: Weights, features: Tensor, head: str, *ones: int) -> Tensor:
    """Scores [b k] of features [b t d] or [b d], by a classifier that is drawn."""
    width = features.shape[-1]
    weight = weights.drawn(f"{head}.weight", CLASSES, width, *ones).reshape(CLASSES, width)
    scores = features @ weight.T + weights.drawn(f"{head}.bias", CLASSES)
    return scores.mean(dim=1) if scores.ndim == 3 else scores


Case = tuple[Callable[[Weights, Tensor], Tensor], int, str, tuple[int, ...], Settings]
CLIPS: dict[str, Case] = {
    "S3D of IBM": (
        partial(arp, separable=True, stride=1), 4, "fc", (),
        Settings(num_segments=4, temporal_stride="none"),
    ),
    "S3D of IBM with filters of one channel": (
        partial(arp, separable=True, stride=1, mean=True, dw=True), 4, "fc", (),
        Settings(num_segments=4, temporal_stride="none", pooling="avg"),
    ),
    "I3D of IBM that strides by means": (
        partial(arp, separable=False, stride=2, mean=True), 9, "fc", (),
        Settings(num_segments=9, temporal_stride="avg"),
    ),
    "S3D-ResNet of IBM with filters of one channel": (
        partial(s3d_resnet, stride=1, dw=True), 3, "fc", (),
        Settings(num_segments=3, temporal_stride="none"),
    ),
    "I3D of IBM": (
        partial(arp, separable=False, stride=2), 8, "fc", (),
        Settings(num_segments=8, temporal_stride="max"),
    ),
    "S3D-ResNet of IBM": (
        partial(s3d_resnet, stride=1), 3, "fc", (),
        Settings(num_segments=3, temporal_stride="none"),
    ),
    "S3D of torchvision": (
        torchvisions_s3d, 14, "classifier.1", (1, 1, 1), Settings(num_segments=14),
    ),
    "R(2+1)D of torchvision": (torchvisions_r2plus1d, 8, "fc", (), Settings(num_segments=8)),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIPS)
@torch.no_grad()
def test_networks_of_clips(name: str, tmp_path: Path) -> None:
    network, frames, head, ones, said = CLIPS[name]
    weights, clip = Weights(), torch.randn(1, 3, frames, 33, 33, dtype=torch.float64)
    expected = classified(weights, network(weights, clip), head, *ones)
    convert(saved(tmp_path, weights, head), tmp_path / "out", settings=said)
    model = load_trained(tmp_path / "out").model.double().eval()
    scores = model(clip.transpose(1, 2))["label"]
    assert (scores - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(
    ("name", "row"),
    [("R(2+1)D of torchvision", "r2plus1d-r18-16f-k400"), ("S3D of torchvision", "s3d-64f-k400")],
)
@torch.no_grad()
def test_a_file_of_torchvision_is_its_published_row(name: str, row: str, tmp_path: Path) -> None:
    network, frames, head, ones, _ = CLIPS[name]
    weights = Weights()
    width = network(weights, torch.randn(1, 3, frames, 33, 33, dtype=torch.float64)).shape[-1]
    weights.drawn(f"{head}.weight", 400, width, *ones)
    weights.drawn(f"{head}.bias", 400)
    published = rows()[row]
    said = Settings(num_segments=published.model.num_segments, data="k400")
    found = convert(saved(tmp_path, weights, head), tmp_path / row, settings=said)
    assert found.recipe == published
    assert load_trained(tmp_path / row).recipe == published


@torch.no_grad()
def test_poolings_of_which_nothing_is_said_take_the_maximum_and_say_so(tmp_path: Path) -> None:
    weights, clip = Weights(), torch.randn(1, 3, 4, 32, 32, dtype=torch.float64)
    classified(weights, arp(weights, clip, separable=False, stride=1), "fc")
    path, said = saved(tmp_path, weights, "fc"), Settings(num_segments=4, temporal_stride="none")
    found = convert(path, tmp_path / "unsaid", settings=said)
    assert found.assumed == ("its poolings take the maximum, else --set pooling=avg",)
    named = path.rename(tmp_path / "mini_st2stv2-rgb-i3d_v2-f4-cosine-bs72-e75.pth.tar")
    for how, reduce in (("max", "max"), ("avg", "mean")):
        found = convert(named, tmp_path / how, settings=Settings(pooling=how))
        assert found.recipe.model.encoder == I3DInceptionSpec(reduce=reduce)
        assert not found.assumed
    strides = Settings(num_segments=4, temporal_stride="max", pooling="avg")
    with pytest.raises(CheckpointError, match="pooling"):
        convert(named, tmp_path / "strides", settings=strides)


@torch.no_grad()
def test_inception_v1_without_a_tam_is_read_as_torchvisions(tmp_path: Path) -> None:
    weights, clip = Weights(), torch.randn(1, 2, 3, 33, 33, dtype=torch.float64)
    features = googlenet(weights, clip[0])
    expected = classified(weights, features[None], "fc")
    weights["aux1.fc1.bias"] = torch.zeros(1)
    said = Settings(num_segments=2, temporal_stride="none")
    converted = convert(saved(tmp_path, weights, "fc"), tmp_path / "out", settings=said)
    assert converted.dropped == ("aux1.fc1.bias",)
    assert converted.recipe.augment.mean == converted.recipe.augment.std == (0.5, 0.5, 0.5)
    scores = load_trained(tmp_path / "out").model.double().eval()(clip)["label"]
    assert (scores - expected).abs().max() < 1e-4 * expected.abs().max()


def _bninception(tmp_path: Path) -> tuple[Path, Tensor, Tensor]:
    weights, clip = Weights(), torch.randn(1, 3, 3, 33, 33, dtype=torch.float64)
    features = bninception(weights, clip[0])[None]
    expected = classified(weights, features, "module.new_fc")
    name = "TSM_kinetics_RGB_BNInception_avg_segment3_e50"
    return saved(tmp_path, weights, "module.new_fc", "module.base_model.", name), clip, expected


@torch.no_grad()
def test_tsn_on_bninception(tmp_path: Path) -> None:
    path, clip, expected = _bninception(tmp_path)
    converted = convert(path, tmp_path / "out", settings=Settings(data="ssv1"))
    assert converted.recipe.augment.channel_order == "bgr"
    assert converted.recipe.augment.mean == pytest.approx((104 / 255, 117 / 255, 128 / 255))
    model = load_trained(tmp_path / "out").model.double().eval()
    assert model.spec.temporal == ()
    assert (model(clip)["label"] - expected).abs().max() < 1e-4 * expected.abs().max()


def test_a_shift_of_bninception_is_said_or_named(tmp_path: Path) -> None:
    path, *_ = _bninception(tmp_path)
    unnamed = path.rename(tmp_path / "best.pth")
    with pytest.raises(CheckpointError, match="A shift leaves no mark in a BN-Inception"):
        convert(unnamed, tmp_path / "out", settings=Settings(num_segments=3))
    said = Settings(num_segments=3, shift_div=8)
    converted = convert(unnamed, tmp_path / "out", settings=said)
    assert converted.recipe.model.temporal == (TSM(place="block_in"),)
    assert converted.recipe.model.encoder == BNInceptionSpec()
    assert "the shift stands in front of every block (place=block)" in converted.assumed
    named = unnamed.rename(
        tmp_path / "TSM_kinetics_RGB_BNInception_shift8_block_avg_segment3_e50.pth"
    )
    assert convert(named, tmp_path / "named").recipe.model == converted.recipe.model
