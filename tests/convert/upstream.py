"""Checkpoints as other code bases write them, made of our models by the inverse of their names."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from marey.models.encoders.mobilenet import ROWS
from marey.models.video_model import ModelSpec, VideoModel


def filled(spec: ModelSpec, seed: int = 0) -> VideoModel:
    """A model whose weights and running statistics are random but tame, in evaluation mode."""
    torch.manual_seed(seed)
    model = spec.build()
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(std=0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.8, 1.2)
        elif name == "heads.label.weight":
            value.normal_(std=0.1)  # large enough for the scores to differ
    return model.eval()


def under(theirs: Callable[[str], str], model: VideoModel) -> dict[str, Tensor]:
    """The state dict of `model`, each name as `theirs` writes it."""
    return {theirs(name): value for name, value in model.state_dict().items()}


def tsm_resnet(name: str) -> str:
    """temporal-shift-module, shift in "blockres", dropout on."""
    name = re.sub(r"(layer\d\.\d+\.conv1)\.", r"\1.net.", name)
    return "module." + re.sub(r"^heads\.label", "new_fc", name).replace("encoder.", "base_model.")


def tsm_mobilenet(name: str) -> str:
    """temporal-shift-module's MobileNetV2, which counts its layers through."""
    name = _flat(name)
    shifted = "|".join(str(i) for i in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16))
    name = re.sub(rf"(features\.(?:{shifted})\.conv\.0)\.", r"\1.net.", name)
    return "module." + re.sub(r"^heads\.label", "new_fc", name).replace("encoder.", "base_model.")


def online_mobilenet(name: str) -> str:
    """Its streaming network: no wrapper, no prefix."""
    return re.sub(r"^heads\.label", "classifier", _flat(name)).removeprefix("encoder.")


def torchvision(name: str) -> str:
    """Torchvision's MobileNetV2."""
    return re.sub(r"^heads\.label", "classifier.1", name).removeprefix("encoder.")


def mmaction2_resnet(name: str) -> str:
    """mmaction2's ResNet with TSM."""
    name = re.sub(r"(?<=[.])(conv|bn)(\d)\.", lambda m: f"conv{m[2]}.{m[1]}.", name)
    name = re.sub(r"(layer\d\.\d+\.conv1\.conv)\.", r"\1.net.", name)
    name = re.sub(r"downsample\.(\d)", lambda m: f"downsample.{('conv', 'bn')[int(m[1])]}", name)
    return re.sub(r"^heads\.label", "cls_head.fc_cls", name).replace("encoder.", "backbone.")


def mmaction2_mobilenet(name: str) -> str:
    """mmaction2's MobileNetV2 without shift, in stages."""
    match = re.match(r"encoder\.features\.(\d+)\.(.*)", name)
    if not match:
        return re.sub(r"^heads\.label", "cls_head.fc_cls", name)
    feature, rest = int(match[1]), match[2]
    if feature in (0, 18):
        part, leaf = rest.split(".")
        return f"backbone.conv{1 if feature == 0 else 2}.{('conv', 'bn')[int(part)]}.{leaf}"
    stage, block = _stage_of(feature)
    *numbers, leaf = rest.removeprefix("conv.").split(".")
    pairs = 2 if stage == 1 else 3
    if len(numbers) == 2:
        pair, part = int(numbers[0]), int(numbers[1])
    else:
        pair, part = pairs - 1, int(numbers[0]) - (pairs - 1)
    return f"backbone.layer{stage}.{block}.conv.{pair}.{('conv', 'bn')[part]}.{leaf}"


def _stage_of(feature: int) -> tuple[int, int]:
    block = feature - 1
    for stage, (_, _, depth, _) in enumerate(ROWS, start=1):
        if block < depth:
            return stage, block
        block -= depth
    raise AssertionError(feature)


def _flat(name: str) -> str:
    match = re.match(r"encoder\.features\.(\d+)\.conv\.(\d)\.(?:(\d)\.)?(\w+)$", name)
    if not match:
        return name
    feature, first, second, leaf = int(match[1]), int(match[2]), match[3], match[4]
    pairs = 1 if feature == 1 else 2
    at = 3 * first + int(second) if second is not None else 3 * pairs + first - pairs
    return f"encoder.features.{feature}.conv.{at}.{leaf}"
