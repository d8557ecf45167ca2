from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from marey.models import TSM, MobileNetV2Spec, ModelSpec, ResNetSpec
from marey.models.encoder import Encoder
from marey.models.profile import num_parameters


# Parameters of torchvision's models less their classifier, from its documentation.
@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [
        (ResNetSpec(18), 11_689_512 - 513_000),
        (ResNetSpec(34), 21_797_672 - 513_000),
        (ResNetSpec(50), 25_557_032 - 2_049_000),
        (ResNetSpec(101), 44_549_160 - 2_049_000),
        (ResNetSpec(152), 60_192_808 - 2_049_000),
        (ResNetSpec(50, groups=32, width_per_group=4), 25_028_904 - 2_049_000),
        (ResNetSpec(101, groups=32, width_per_group=8), 88_791_336 - 2_049_000),
        (ResNetSpec(50, width_per_group=128), 68_883_240 - 2_049_000),
        (MobileNetV2Spec(), 3_504_872 - 1_281_000),
    ],
    ids=repr,
)
def test_the_number_of_parameters_is_torchvisions(encoder: Encoder, parameters: int) -> None:
    with torch.device("meta"):
        assert num_parameters(encoder.build((), 8)) == parameters


@pytest.mark.parametrize("depth", [18, 50])
def test_resnet_keys_and_shapes_are_torchvisions(depth: int) -> None:
    with torch.device("meta"):
        model = ResNetSpec(depth).build((TSM(),), 8)
    shapes = {name: tuple(w.shape) for name, w in model.state_dict().items() if w.ndim == 4}
    assert shapes == torchvision_resnet_convolutions(depth)
    norms = {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    convolutions = {name.removesuffix(".weight") for name in shapes}
    renumbered = {n.replace("conv", "bn").replace("ple.0", "ple.1") for n in convolutions}
    assert norms == renumbered
    assert len(model.state_dict()) == len(convolutions) + 5 * len(norms)


def torchvision_resnet_convolutions(depth: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}
    depths, width = {18: ((2, 2, 2, 2), 1), 50: ((3, 4, 6, 3), 4)}[depth]
    channels = 64
    for stage, blocks in enumerate(depths):
        planes = 64 * 2**stage
        for block in range(blocks):
            at = f"layer{stage + 1}.{block}"
            if depth == 18:
                kernels = [(planes, channels, 3, 3), (planes, planes, 3, 3)]
            else:
                kernels = [(planes, channels, 1, 1), (planes, planes, 3, 3)]
                kernels.append((planes * width, planes, 1, 1))
            shapes |= {f"{at}.conv{i}.weight": k for i, k in enumerate(kernels, start=1)}
            if block == 0 and (channels != planes * width or stage > 0):
                shapes[f"{at}.downsample.0.weight"] = (planes * width, channels, 1, 1)
            channels = planes * width
    return shapes


def test_mobilenet_loads_torchvisions_file_unchanged(shared_dir: Path) -> None:
    path = shared_dir / "data/weights/mobilenet_v2-b0353104.pth"
    if not path.is_file():
        pytest.skip(f"no {path}")
    weights = torch.load(path, weights_only=True)
    model = ModelSpec(MobileNetV2Spec(), (TSM(),)).build()
    model.load_encoder(weights)
    loaded = model.encoder.state_dict()
    assert all(torch.equal(loaded[k], w) for k, w in weights.items() if "classifier" not in k)
    assert set(loaded) == {k for k in weights if "classifier" not in k}


@pytest.mark.parametrize(
    ("spec", "stem", "out", "last"),
    [
        (MobileNetV2Spec(1.4), 48, [24, 32, 48, 88, 136, 224, 448], 1792),
        (MobileNetV2Spec(1.4, rounding="up"), 32, [16, 40, 48, 96, 136, 224, 448], 1792),
        (MobileNetV2Spec(0.5), 16, [8, 16, 16, 32, 48, 80, 160], 1280),
    ],
    ids=repr,
)
def test_other_widths_round_as_their_source_does(
    spec: MobileNetV2Spec, stem: int, out: list[int], last: int
) -> None:
    widths = {block.stage: block.out_channels for block in spec.blocks((), 8)}
    assert (spec.stem_channels, list(widths.values()), spec.num_features) == (stem, out, last)


@pytest.mark.parametrize("encoder", [ResNetSpec(18), MobileNetV2Spec()], ids=repr)
def test_features_are_one_vector_a_frame_at_any_size(encoder: Encoder) -> None:
    model = encoder.build((), 3).eval()
    for height, width in ((32, 32), (40, 72)):
        features = model(torch.randn(2, 3, 3, height, width))
        assert features.shape == (2, 3, model.num_features)


def test_convolutions_start_as_torchvisions_with_kaimings_fan_out() -> None:
    torch.manual_seed(0)
    weight = ResNetSpec(50).build((), 1).get_parameter("layer3.0.conv2.weight")
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 51}, r"depth is 51, expected one of \(18, 26, 34, 50, 101, 152\)"),
        ({"depth": 18, "groups": 32}, "ResNet-18 has no grouped form"),
    ],
)
def test_an_impossible_resnet_is_an_error(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResNetSpec(**arguments)


def test_a_mobilenet_without_width_is_an_error() -> None:
    with pytest.raises(ValueError, match="width is 0, expected more than 0"):
        MobileNetV2Spec(0)


def test_a_thin_resnet_has_the_published_layers_at_a_share_of_their_width():
    thin, full = (ResNetSpec(26, channels=c).build((), 8).state_dict() for c in (16, 64))
    assert list(thin) == list(full)
    assert thin["conv1.weight"].shape == (16, 3, 7, 7)
    assert thin["layer4.1.conv2.weight"].shape == (128, 128, 3, 3)
    assert full["layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    with pytest.raises(ValueError, match="channels is 0, expected at least 1"):
        ResNetSpec(channels=0)
